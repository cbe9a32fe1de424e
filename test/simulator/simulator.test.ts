import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

import { COMPILE_CACHE } from "../support/compile-cache.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const run = promisify(execFile);

async function simulate(...options: readonly string[]): Promise<string> {
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
  const { stdout } = await run(process.execPath, [MAIN, ...options], { env });
  return stdout;
}

/** So many take 18 seconds on two idle processors. */
const HISTORIES = 3_500;

test("P1, P2, P3, P4, P5, P6, P7, P8: no history of the whole daemon loses, repeats or delays a request beyond what its faults excuse", async () => {
  expect(await simulate("--seed", "1", "--histories", String(HISTORIES))).toMatch(
    new RegExp(`^${HISTORIES} histories from seed 1, 0 failed`),
  );
});

test("the workers have exactly the histories that are asked for, in all", async () => {
  expect(await simulate("--histories", "10", "--workers", "3")).toMatch(/^10 histories from seed 1, 0 failed/);
  expect(await simulate("--histories", "1", "--workers", "3")).toMatch(/^1 histories from seed 1, 0 failed/);
});

test("a run without a rule of the handoff fails, shrinks and reads as a list of steps", async () => {
  const failed = simulate("--seed", "1", "--histories", "10", "--off", "ignoreSwept", "--workers", "1");
  await expect(failed).rejects.toMatchObject({
    stdout: expect.stringMatching(/^seed \d+ fails: P3: .*\n {2}\d+ of \d+ steps do/) as unknown,
  });
});
