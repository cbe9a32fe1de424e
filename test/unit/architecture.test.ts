import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const MODULES = readdirSync(join(ROOT, "src"));
const DOCUMENTS = ["ARCHITECTURE.md", "docs/glossary.md"];
const ROW = /^\| (P\d+) \|.*\| ([^|]+) \| ([^|]+) \|$/gm;

/** The table of promises: number, files that keep it, tests that prove it. */
const promises = [...readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8").matchAll(ROW)].map(
  ([, number = "", kept = "", proven = ""]) => ({ number, kept: quoted(kept), proven: quoted(proven) }),
);

function quoted(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

function exists(path: string): boolean {
  return existsSync(join(ROOT, "src", path)) || existsSync(join(ROOT, path));
}

test.for(DOCUMENTS)("%s names only files that exist", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");
  const named = Array.from(text.matchAll(/`([\w./-]+\/[\w.-]+\.(?:ts|sql))`/g), ([, path = ""]) => path);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !exists(path))).toEqual([]);
});

test.for(MODULES)("ARCHITECTURE.md has the module %s in its table", (module) => {
  expect(readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8")).toContain(`\n| \`${module}\` | `);
});

test("every promise is in the table", () => {
  expect(promises.map(({ number }) => number)).toEqual(Array.from({ length: 12 }, (_, index) => `P${index + 1}`));
});

test.for(promises)("$number is kept by files that are there", ({ kept }) => {
  expect(kept.filter((path) => !exists(path))).toEqual([]);
});

test.for(promises)("$number is proven by tests that are there and name it", ({ number, proven }) => {
  const nameless = proven.filter((name) => {
    const files = globSync(join(ROOT, `test/*/${name}.test.ts`));
    return !files.some((file) => new RegExp(`\\b${number}\\b`).test(readFileSync(file, "utf8")));
  });
  expect(nameless).toEqual([]);
});
