import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { GROUPS } from "../../src/doctor/check.ts";
import { CHECKS, unranked } from "../../src/doctor/checks.ts";

const text = readFileSync(new URL("../../docs/doctor.md", import.meta.url), "utf8");

/** The headings of sections, by those of the groups that they are in. */
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((part) => [
      part.split("\n", 1)[0] ?? "",
      new Set([...part.matchAll(/^### (.*)$/gm)].map(([, title = ""]) => title)),
    ]),
);

test("docs/doctor.md has a section for each check, by its id, within its group", () => {
  const wanted = GROUPS.map(
    (group) => [group, new Set(CHECKS.filter((check) => check.group === group).map(({ id }) => id))] as const,
  );
  expect(sections).toEqual(new Map(wanted));
});

test("every check has a place in the order of causes", () => {
  expect(unranked()).toEqual([]);
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
