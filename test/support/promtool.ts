import { execFile } from "node:child_process";
import { promisify } from "node:util";

const PROMTOOL = process.env["PROMTOOL"] ?? "promtool";

const run = promisify(execFile);

async function isThere(): Promise<boolean> {
  return run(PROMTOOL, ["--version"]).then(
    () => true,
    () => false,
  );
}

const found = await isThere();
if (!found && process.env["PROMTOOL"] !== undefined) throw new Error(`PROMTOOL is set, and ${PROMTOOL} does not run`);
if (!found) {
  process.stderr.write(
    "\nSKIPPED: alerts and dashboard are not tested, since there is no promtool. Install Prometheus, or set PROMTOOL to its path.\n\n",
  );
}

/** Whether what needs promtool is skipped: where there is none, but in CI. */
export const SKIPS_PROMTOOL = !found && process.env["CI"] === undefined;

/** Runs it in `folder`; returns what it printed, and rejects where it found something wrong. */
export async function promtool(folder: string, ...args: readonly string[]): Promise<string> {
  return (await run(PROMTOOL, args, { cwd: folder })).stdout;
}
