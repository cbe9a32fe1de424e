import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const MAIN = join(import.meta.dirname, "main.ts");
const run = promisify(execFile);

async function simulate(...options: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, ...options]);
  return stdout;
}

test("P1, P2, P3, P4, P7, P8: no history of the whole daemon loses, repeats or delays a request beyond what its faults excuse", async () => {
  expect(await simulate("--seed", "1", "--histories", "200")).toMatch(/^200 histories, 0 failed/);
});
