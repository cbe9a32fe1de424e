import { globSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADVISORIES } from "../support/advisories.ts";
import { advisoriesTable } from "../support/advisories-table.ts";
import { ROOT, readDocument } from "../support/markdown.ts";

const page = await readDocument("docs/security.md");

test.each(ADVISORIES)("docs/security.md has the advisories that are tested: $topic", (topic) => {
  expect(page).toContain(advisoriesTable(topic));
});

test("docs/security.md has no advisory that is not tested", () => {
  const tested = ADVISORIES.flatMap(({ list }) => list.map(({ id }) => id));
  expect(Array.from(page.matchAll(/^\| (CVE-\S+) /gm), ([, id]) => id)).toEqual(tested);
});

test("docs/security.md names tests that are there", () => {
  const rows = Array.from(page.matchAll(/^\| [^|]+ \| [^|]+ \| ((?:`[^`]+`(?:, )?)+) \|$/gm), ([, cell = ""]) => cell);
  const names = rows.flatMap((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name));
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => globSync(join(ROOT, `test/*/${name}.test.ts`)).length === 0)).toEqual([]);
});
