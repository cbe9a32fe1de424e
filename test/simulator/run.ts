import { installClient } from "./client.ts";
import { installVirtualTime, realNow } from "./virtual-time.ts";

// Before anything of the daemon is loaded.
installVirtualTime();
installClient();

const { draw } = await import("./draw.ts");
const { play } = await import("./history.ts");
const { shrink } = await import("./shrink.ts");

/** What to run. */
export interface RunOptions {
  readonly seed: number;
  /** From each seed to the next. */
  readonly stride: number;
  readonly histories: number;
  /** Ends earlier, after so long, in milliseconds of the real clock. */
  readonly ms: number;
  /** Ends with the first failure, as it is. */
  readonly untilFailure: boolean;
  /** Says everything that happens. */
  readonly trace: boolean;
  readonly say: (line: string) => void;
}

/** What came of it. */
export interface RunSummary {
  readonly histories: number;
  readonly failed: number;
  readonly simulatedMs: number;
  readonly requests: number;
  /** Steps other than requests. */
  readonly faults: number;
  /** How many histories it took to the first failure; null without one. */
  readonly firstFailure: number | null;
  readonly firstHarm: string | null;
}

/** Failures beyond these are counted alone. */
const MOST_REPORTED = 5;
/** Lines of a report beyond these are left out. */
const MOST_LINES = 80;

/** Runs histories one after the other; each failure is shrunk and said. */
export async function runHistories(options: RunOptions): Promise<RunSummary> {
  const { say } = options;
  const startedAt = realNow();
  const sum = { histories: 0, failed: 0, simulatedMs: 0, requests: 0, faults: 0 };
  let firstFailure: number | null = null;
  let firstHarm: string | null = null;
  for (let index = 0; index < options.histories && realNow() - startedAt < options.ms; index++) {
    const seed = options.seed + index * options.stride;
    const history = draw(seed);
    const { harms, simulatedMs, requests } = await play(history, options.trace ? say : null);
    sum.histories++;
    sum.simulatedMs += simulatedMs;
    sum.requests += requests;
    sum.faults += history.steps.filter(({ act }) => act.kind !== "insert").length;
    if (harms.length === 0) continue;
    sum.failed++;
    firstFailure ??= index + 1;
    firstHarm ??= harms[0] ?? null;
    if (options.untilFailure) break;
    if (sum.failed <= MOST_REPORTED) await report(seed, say);
  }
  return { ...sum, firstFailure, firstHarm };
}

async function report(seed: number, say: (line: string) => void): Promise<void> {
  const history = draw(seed);
  const shortest = await shrink(history);
  const lines: string[] = [];
  const { harms } = await play(shortest, (line) => lines.push(line));
  const { steps, settings, profile, hosts, daemons } = shortest;
  say(`seed ${seed} fails: ${harms[0]}`);
  say(`  ${steps.length} of ${history.steps.length} steps do; daemons: ${daemons}`);
  say(`  ${JSON.stringify({ ...settings, ...profile, hosts })}`);
  for (const line of lines.slice(0, MOST_LINES)) say(`  ${line}`);
  if (lines.length > MOST_LINES) say(`  and ${lines.length - MOST_LINES} lines more`);
}
