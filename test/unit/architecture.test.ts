import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const ROW = /^\| (P\d+) \|.*\| ([^|]+) \| ([^|]+) \|$/gm;

/** The table of promises: number, files that keep it, tests that prove it. */
const promises = [...readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").matchAll(ROW)].map(
  ([, number = "", kept = "", proven = ""]) => ({ number, kept: quoted(kept), proven: quoted(proven) }),
);

function quoted(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

test("every promise is in the table", () => {
  expect(promises.map(({ number }) => number)).toEqual(Array.from({ length: 12 }, (_, index) => `P${index + 1}`));
});

test.for(promises)("$number is kept by files that are there", ({ kept }) => {
  expect(kept.filter((path) => !existsSync(join(ROOT, "src", path)) && !existsSync(join(ROOT, path)))).toEqual([]);
});

test.for(promises)("$number is proven by tests that are there and name it", ({ number, proven }) => {
  const nameless = proven.filter((name) => {
    const files = globSync(join(ROOT, `test/*/${name}.test.ts`));
    return !files.some((file) => new RegExp(`\\b${number}\\b`).test(readFileSync(file, "utf8")));
  });
  expect(nameless).toEqual([]);
});
