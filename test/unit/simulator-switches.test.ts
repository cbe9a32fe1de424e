import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SWITCHES } from "../simulator/switches.ts";

const SRC = join(import.meta.dirname, "../../src");

test.for(SWITCHES.map(({ name, patches }) => [name, patches] as const))(
  "what is switched off by '%s' is in its module, once",
  ([, patches]) => {
    for (const { file, from } of patches) {
      expect([file, readFileSync(join(SRC, file), "utf8").split(from).length - 1]).toEqual([file, 1]);
    }
  },
);
