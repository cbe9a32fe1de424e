import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/** In the order data flows; a room may import from itself and from those before it. */
const ROOMS = "base config pg wal outbox limits dns http results intake sending dispatch ops pipeline cli".split(" ");
const SRC = join(import.meta.dirname, "../../src");
const FILES = globSync("**/*.ts", { cwd: SRC });

it.each(FILES)("%s imports from no later room", (file) => {
  const imports = [...readFileSync(join(SRC, file), "utf8").matchAll(/(?:from|import\(?)\s*"(\.[^"]+)"/g)];
  const later = imports
    .map(([, path = ""]) => join(file, "..", path))
    .filter((path) => ROOMS.indexOf(room(path)) > ROOMS.indexOf(room(file)));
  expect(later).toEqual([]);
});

it("every file is in a room, and every room has a file", () => {
  expect(new Set(FILES.map(room))).toEqual(new Set(ROOMS));
});

function room(path: string): string {
  return path.split("/", 1)[0] ?? "";
}
