import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { positiveInteger, positiveNumber } from "../support/positive-number.ts";
import { describePlan } from "./describe.ts";
import { draw } from "./draw.ts";
import { describeFailure, keepLogs } from "./report.ts";
import { runOnce, type RunResult } from "./run.ts";

const USAGE = `npm run swarm -- [--seed N] [--minutes M | --runs N]
  --seed N      the first seed, others follow; 1 unless given
  --minutes M   no run begins after so long; 4 unless given
  --runs N      so many runs
  --first       ends with the first run that fails
  --plan        prints the plan of the seed, and runs nothing
  --logs DIR    where a failed run leaves its logs`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "4" },
    runs: { type: "string" },
    first: { type: "boolean", default: false },
    plan: { type: "boolean", default: false },
    logs: { type: "string", default: join(tmpdir(), "pgnetd-swarm") },
    help: { type: "boolean", default: false },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const seed = positiveInteger("--seed", values.seed);
const minutes = positiveNumber("--minutes", values.minutes);
const most = values.runs === undefined ? Infinity : positiveInteger("--runs", values.runs);
if (values.help) say(USAGE);
else if (values.plan) describePlan(draw(seed)).forEach(say);
else await swarm();

async function swarm(): Promise<void> {
  const deadline = performance.now() + minutes * 60_000;
  const failed: number[] = [];
  const isOver = (runs: number): boolean =>
    runs >= most || (values.first && failed.length > 0) || (values.runs === undefined && performance.now() >= deadline);
  const counts = new Map<string, number>();
  let runs = 0;
  let requests = 0;
  for (; !isOver(runs); runs++) {
    const result = await runOnce(seed + runs).catch((error: unknown) => {
      say(`seed ${seed + runs} could not be run: ${error instanceof Error ? error.stack : String(error)}`);
      return null;
    });
    if (result === null) {
      failed.push(seed + runs);
      continue;
    }
    requests += result.books.accounts.length;
    for (const { fault } of result.journal.spans) counts.set(fault.kind, (counts.get(fault.kind) ?? 0) + 1);
    say(summaryOf(result));
    if (result.harms.length === 0) continue;
    failed.push(result.plan.seed);
    describeFailure(result).forEach(say);
    say(`Logs: ${await keepLogs(values.logs, result)}`);
  }
  const kinds = [...counts].toSorted(([a], [b]) => a.localeCompare(b)).map(([kind, count]) => `${kind} ${count}`);
  say(`${runs} runs from seed ${seed}, ${failed.length} failed, ${requests} requests; faults: ${kinds.join(", ")}`);
  if (failed.length > 0) say(`failed seeds: ${failed.join(", ")}`);
  if (failed.length > 0 || runs === 0) process.exitCode = 1;
}

function summaryOf({ plan, version, books, arrivals, harms, journal, peakMb, seconds }: RunResult): string {
  const { accounts } = books;
  const count = (kind: string): number => accounts.filter(({ ends }) => ends[0]?.kind === kind).length;
  const parts = [
    `seed ${plan.seed}`,
    `PostgreSQL ${version} ${plan.settings.plugin}`,
    `${accounts.length} requests came ${arrivals} times`,
    `${count("answered")} answered, ${count("dead letter")} dead, ${count("cancelled")} cancelled`,
    `${journal.spans.length} faults (${[...new Set(journal.spans.map(({ fault }) => fault.kind))].join(", ")})`,
    `${Math.round(peakMb)} MB`,
    `${seconds.toFixed(1)} s`,
    harms.length === 0 ? "ok" : `${harms.length} HARMS`,
  ];
  return parts.join("; ");
}
