import { PgnetdError } from "../base/errors.ts";
import { askOnTerminal } from "./ask.ts";
import { type LiveView, openLiveView } from "./live-view.ts";
import { runProgram } from "./program.ts";
import { reportOf } from "./report.ts";
import { stopSignal } from "./stop-signal.ts";

const NODE_MAJOR = 24;

// P6: the system's resolver, the last resort for names, takes half of libuv's threads, of which there are four by default.
process.env["UV_THREADPOOL_SIZE"] ??= "64";

try {
  requireNode();
  await main(process.argv.slice(2), stopSignal());
  process.exit(0);
} catch (error) {
  const { text, exitCode } = reportOf(error, process.env["PGNETD_LOG_LEVEL"] === "debug");
  process.stderr.write(text);
  process.exit(exitCode);
}

async function main(argv: readonly string[], stop: AbortSignal): Promise<void> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const ask = process.stdin.isTTY ? (question: string): Promise<boolean> => askOnTerminal(question, stop) : null;
  const live = process.stdout.isTTY ? (): LiveView => openLiveView(process.stdout) : null;
  await runProgram(argv, { env: process.env, print, ask, live, stop });
}

/** Commands are loaded only after this: an older Node cannot read their syntax. */
function requireNode(): void {
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) return;
  throw new PgnetdError("USAGE", `pgnetd needs Node ${NODE_MAJOR} or newer; this is ${process.versions.node}`, {
    hint: "From a clone, npm run pgnetd uses the Node that npm ci installed.",
  });
}
