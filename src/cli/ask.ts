import { createInterface } from "node:readline/promises";

/** Asks a yes-or-no question on the terminal; what is no yes is a no, as is `stop`. */
export async function askOnTerminal(question: string, stop: AbortSignal): Promise<boolean> {
  // Not as a terminal: there Ctrl-C would be a key, and no signal.
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal: stop })).trim());
  } catch (error) {
    if (stop.aborted) return false;
    throw error;
  } finally {
    lines.close();
  }
}
