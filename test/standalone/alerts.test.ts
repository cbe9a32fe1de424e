import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const FOLDER = join(import.meta.dirname, "../../config/prometheus");
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
    "\nSKIPPED: the alerts are not tested, since there is no promtool. Install Prometheus, or set PROMTOOL to its path.\n\n",
  );
}

test.skipIf(!found && process.env["CI"] === undefined)(
  "promtool finds the alerts valid, and each fires and is silent as its tests say",
  async () => {
    expect((await run(PROMTOOL, ["check", "rules", "alerts.yaml"], { cwd: FOLDER })).stdout).toContain("SUCCESS");
    expect((await run(PROMTOOL, ["test", "rules", "alerts.test.yaml"], { cwd: FOLDER })).stdout).toContain("SUCCESS");
  },
);
