import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

import { positiveInteger, positiveNumber } from "../support/positive-number.ts";
import type { RunSummary } from "./run.ts";
import { substitute } from "./substitutes.ts";
import { SWITCHES } from "./switches.ts";

const USAGE = `npm run simulate -- [--seed N] [--minutes M | --histories N]
  --seed N        the first seed; 1 unless given
  --minutes M     for so long; 1 unless given
  --histories N   so many, in all
  --workers N     processes; as many as there are processors unless given
  --trace         one history, with everything that happens in it
  --off NAME      with a rule switched off
  --switches      each rule switched off, and how many histories it takes to notice that`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "1" },
    histories: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    off: { type: "string" },
    switches: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    "until-failure": { type: "boolean", default: false },
    stride: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The options that are numbers; throws where one is not positive. */
function numbers(): { readonly [name in "seed" | "minutes" | "histories" | "workers" | "stride"]: number } {
  return {
    seed: positiveInteger("--seed", values.seed),
    minutes: positiveNumber("--minutes", values.minutes),
    histories: values.histories === undefined ? Infinity : positiveInteger("--histories", values.histories),
    workers: positiveInteger("--workers", values.workers),
    stride: positiveInteger("--stride", values.stride ?? "1"),
  };
}

if (values.help) say(USAGE);
else if (values.stride !== undefined || values.trace) await work();
else if (values.switches) await switchOff();
else await simulate();

/** Runs histories in this process. */
async function work(): Promise<void> {
  const { seed, stride, histories, minutes } = numbers();
  const off = SWITCHES.find(({ name }) => name === values.off);
  if (values.off !== undefined && off === undefined) throw new Error(`there is no switch ${values.off}`);
  substitute(off?.patches ?? []);
  const { runHistories } = await import("./run.ts");
  const summary = await runHistories({
    seed,
    stride,
    histories: values.trace ? 1 : histories,
    ms: values.histories === undefined ? minutes * 60_000 : Infinity,
    untilFailure: values["until-failure"],
    trace: values.trace,
    say,
  });
  process.send?.(summary);
  if (values.trace && summary.firstHarm !== null) say(`it fails: ${summary.firstHarm}`);
}

/** Runs histories in several processes, and says what came of it. */
async function simulate(): Promise<void> {
  const { seed, minutes, histories, workers: most } = numbers();
  const workers = Math.min(most, histories);
  const startedAt = performance.now();
  /** Worker `index` has every seed at that place in its turn of `workers`. */
  const limit = (index: number): readonly string[] =>
    histories === Infinity
      ? ["--minutes", String(minutes)]
      : ["--histories", String(Math.ceil((histories - index) / workers))];
  const off = values.off === undefined ? [] : ["--off", values.off];
  const summaries = await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      worker(["--seed", String(seed + index), "--stride", String(workers), ...limit(index), ...off]),
    ),
  );
  const total = (of: (summary: RunSummary) => number): number => summaries.reduce((sum, one) => sum + of(one), 0);
  const seconds = (performance.now() - startedAt) / 1_000;
  const simulated = total(({ simulatedMs }) => simulatedMs) / 1_000;
  const faults = total((one) => one.faults);
  const failed = total((one) => one.failed);
  const ran = total((one) => one.histories);
  say(
    `${ran} histories from seed ${seed}, ${failed} failed: ${total(({ requests }) => requests)} requests and ${faults} faults in ${(simulated / 3_600).toFixed(1)} hours; ${seconds.toFixed(0)} s, ${Math.round(simulated / seconds)} times real time, ${Math.round((faults / seconds) * 3_600)} faults an hour`,
  );
  if (failed > 0 || ran === 0) process.exitCode = 1;
}

/** Most histories for one switch. */
const MOST_HISTORIES = 4_000;

/** Runs with each rule switched off, several at once, and says how many histories it took. */
async function switchOff(): Promise<void> {
  const { workers, histories } = numbers();
  const most = String(histories === Infinity ? MOST_HISTORIES : histories);
  const left = [...SWITCHES];
  const missed: string[] = [];
  const next = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      const options = ["--off", one.name, "--until-failure", "--seed", values.seed, "--stride", "1"];
      const { firstFailure, firstHarm } = await worker([...options, "--histories", most]);
      if (firstFailure === null) missed.push(one.name);
      say(`| ${one.name} | ${one.rule} | ${firstFailure ?? `not in ${most}`} | ${firstHarm ?? ""} |`);
    }
  };
  await Promise.all(Array.from({ length: workers }, next));
  if (missed.length === 0) return;
  say(`not noticed: ${missed.join(", ")}`);
  process.exitCode = 1;
}

async function worker(options: readonly string[]): Promise<RunSummary> {
  const child: ChildProcess = fork(import.meta.filename, options, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let summary: RunSummary | null = null;
  child.on("message", (message) => {
    summary = message as RunSummary;
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (summary === null) throw new Error(`a worker ended without a result (${code})`);
  return summary;
}
