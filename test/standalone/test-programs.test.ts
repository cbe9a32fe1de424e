import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

import { COMPILE_CACHE } from "../support/compile-cache.ts";

const run = promisify(execFile);

async function start(program: "simulator" | "swarm", ...options: readonly string[]): Promise<unknown> {
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
  return run(process.execPath, [join(import.meta.dirname, "..", program, "main.ts"), ...options], { env });
}

test.for([
  ["simulator", "--histories", "1,000"],
  ["simulator", "--histories", "0"],
  ["simulator", "--workers", "1.5"],
  ["simulator", "--minutes", "ten"],
  ["swarm", "--minutes", "0"],
  ["swarm", "--minutes", ""],
  ["swarm", "--runs", "0"],
  ["swarm", "--seed", "one"],
] as const)("%s %s '%s' is refused, since it would run nothing", async ([program, option, value]) => {
  await expect(start(program, option, value)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(`${option} must be a positive (number|integer), got "${value}"`) as unknown,
  });
});

test("the swarm fails where its time has ended before anything ran", async () => {
  await expect(start("swarm", "--minutes", "1e-300")).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^0 runs from seed 1, 0 failed/) as unknown,
  });
});
