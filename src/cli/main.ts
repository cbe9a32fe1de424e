import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { PgnetdError, toError } from "../base/errors.ts";
import { redactUrls } from "../config/redact.ts";
import { parseCommandLine } from "./args.ts";
import { COMMANDS } from "./commands.ts";
import { commandHelp, overview } from "./help.ts";
import { stopSignal } from "./stop-signal.ts";

const NODE_MAJOR = 24;

// P6: names are looked up on libuv's threads; with the default of four, a few names that do not answer delay all others.
process.env["UV_THREADPOOL_SIZE"] ??= "32";

try {
  requireNode();
  await main(process.argv.slice(2), stopSignal());
  process.exit(0);
} catch (error) {
  process.exit(report(error));
}

async function main(argv: readonly string[], stop: AbortSignal): Promise<void> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const asked = parseCommandLine(argv, COMMANDS);
  switch (asked.kind) {
    case "help":
      return print(asked.command === undefined ? overview(COMMANDS) : commandHelp(asked.command));
    case "version":
      return print(version());
    case "run":
      return asked.command.run({ ...asked, env: process.env, print, stop });
  }
}

/** Commands are loaded only after this: an older Node cannot read their syntax. */
function requireNode(): void {
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) return;
  throw new PgnetdError("USAGE", `pgnetd needs Node ${NODE_MAJOR} or newer; this is ${process.versions.node}`, {
    hint: "From a clone, npm run pgnetd uses the Node that npm ci installed.",
  });
}

/** Says what went wrong and what to do; returns the exit code. */
function report(thrown: unknown): number {
  const error =
    thrown instanceof PgnetdError ? thrown : new PgnetdError("INTERNAL", toError(thrown).message, { cause: thrown });
  const lines = [`pgnetd: ${error.message}`, `hint: ${error.hint}`];
  if (process.env["PGNETD_LOG_LEVEL"] === "debug") lines.push(inspect(error));
  process.stderr.write(redactUrls(`${lines.join("\n")}\n`));
  return error.exitCode;
}

function version(): string {
  const file = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly version: string;
  };
  return file.version;
}
