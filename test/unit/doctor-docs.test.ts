import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { GROUPS } from "../../src/doctor/check.ts";
import { CHECKS } from "../../src/doctor/checks.ts";

const text = readFileSync(new URL("../../docs/doctor.md", import.meta.url), "utf8");
const headings = (level: string): readonly string[] =>
  [...text.matchAll(new RegExp(`^${level} (.*)$`, "gm"))].map(([, title = ""]) => title);

test("docs/doctor.md has a section for each check, by its id and in the order of the checks within each group", () => {
  const ids = GROUPS.flatMap((group) => CHECKS.filter((check) => check.group === group)).map(({ id }) => id);
  expect(headings("###")).toEqual(ids);
});

test("ids are unique, and no id is that of a group", () => {
  const ids = CHECKS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => (GROUPS as readonly string[]).includes(id))).toEqual([]);
});

test("what a check needs is an earlier check", () => {
  const ids = CHECKS.map(({ id }) => id);
  const wrong = CHECKS.flatMap(({ id, needs = [] }) =>
    needs.filter((one) => !ids.slice(0, ids.indexOf(id)).includes(one)).map((one) => `${id} needs ${one}`),
  );
  expect(wrong).toEqual([]);
});
