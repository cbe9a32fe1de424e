import { parseArgs } from "node:util";
import { reportOf } from "../src/cli/report.ts";
import { stopSignal } from "../src/cli/stop-signal.ts";
import { openLogger } from "../src/ops/logger.ts";
import { demo } from "./demo.ts";

/** `npm run demo`. With `--once` it plays one round and exits: 0 where it went as it must. What the daemon warns of goes to standard error. */
try {
  const { values } = parseArgs({ options: { once: { type: "boolean", default: false } } });
  const log = await openLogger({ level: "warn", to: { write: (line) => void process.stderr.write(line) } });
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  await demo({ once: values.once, env: process.env, log, print }, stopSignal());
  process.exit(0);
} catch (error) {
  const { text, exitCode } = reportOf(error, process.env["PGNETD_LOG_LEVEL"] === "debug");
  process.stderr.write(text);
  process.exit(exitCode);
}
