import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/** In the order data flows; a module may import from itself and from those before it. */
const MODULES =
  "base config pg wal slot leader replication outbox limits dns http results intake sending dispatch ops metrics page tracing uninstall doctor daemon cli".split(
    " ",
  );
const SRC = join(import.meta.dirname, "../../src");
const FILES = globSync("**/*.ts", { cwd: SRC });

it.each(FILES)("%s imports from no later module", (file) => {
  const imports = [...readFileSync(join(SRC, file), "utf8").matchAll(/(?:from|import\(?)\s*"(\.[^"]+)"/g)];
  const later = imports
    .map(([, path = ""]) => join(file, "..", path))
    .filter((path) => MODULES.indexOf(moduleOf(path)) > MODULES.indexOf(moduleOf(file)));
  expect(later).toEqual([]);
});

it("every file is in a module, and every module has a file", () => {
  expect(new Set(FILES.map(moduleOf))).toEqual(new Set(MODULES));
});

function moduleOf(path: string): string {
  return path.split("/", 1)[0] ?? "";
}
