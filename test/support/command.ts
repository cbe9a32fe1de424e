import { toError } from "../../src/base/errors.ts";
import { runProgram } from "../../src/cli/program.ts";

/** What a command printed, and the error that ended it; null without one. */
export interface CommandRun {
  readonly lines: readonly string[];
  readonly failure: unknown;
}

/** Runs one command of pgnetd inside the test, with `url` as DATABASE_URL. */
export async function runCommandLine(url: string, ...argv: readonly string[]): Promise<CommandRun> {
  return runCommandAsked(url, null, ...argv);
}

/** As `runCommandLine`, with somebody there who answers questions. */
export async function runCommandAsked(
  url: string,
  ask: ((question: string) => Promise<boolean>) | null,
  ...argv: readonly string[]
): Promise<CommandRun> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  const context = { env: { DATABASE_URL: url }, print, ask, stop: new AbortController().signal };
  const failure = await runProgram(argv, context).then(
    () => null,
    (error: unknown) => error,
  );
  return { lines, failure };
}

/** As `runCommandLine`, where the command is to succeed; returns what it printed. */
export async function pgnetd(url: string, ...argv: readonly string[]): Promise<readonly string[]> {
  const { lines, failure } = await runCommandLine(url, ...argv);
  if (failure !== null) throw toError(failure);
  return lines;
}
