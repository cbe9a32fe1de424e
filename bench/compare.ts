/**
 * Two versions side by side: each scenario is measured in turns in the working copy `--before` and in this one, each time with a
 * PostgreSQL, a receiver and a daemon of its own, and the medians are shown. `--only` names scenarios,
 * by patterns such as `hosts-*`.
 *
 *     git worktree add /tmp/before <commit> && (cd /tmp/before && npm ci)
 *     npx node bench/compare.ts --before /tmp/before --only 'hanging-*,drain-50000'
 */
import { cpus, loadavg } from "node:os";
import { matchesGlob } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { BESIDE } from "./scenarios/beside.ts";
import { DATABASE } from "./scenarios/database.ts";
import { DRAINS } from "./scenarios/drains.ts";
import { openRig } from "./support/rig.ts";
import type { Figures, Scenario } from "./support/scenario.ts";

const { values: options } = parseArgs({
  options: {
    before: { type: "string", default: process.env["BENCH_BEFORE"] },
    only: { type: "string" },
    /** In place of each scenario's own. */
    rounds: { type: "string" },
  },
});

const ALL: readonly Scenario[] = [...BESIDE, ...DRAINS, ...DATABASE];
const VERSIONS: readonly { readonly name: string; readonly folder?: string }[] = [
  ...(options.before === undefined ? [] : [{ name: "before", folder: options.before }]),
  { name: "present" },
];

/** How much of the processors others use just now, in percent. */
async function busyPercent(): Promise<number> {
  const before = processorTimes();
  await delay(1_000);
  const after = processorTimes();
  return Math.round((100 * (after.busy - before.busy)) / (after.all - before.all));
}

function processorTimes(): { readonly busy: number; readonly all: number } {
  const times = cpus().map(({ times: { user, nice, sys, irq, idle } }) => [user + nice + sys + irq, idle] as const);
  const busy = times.reduce((sum, [used]) => sum + used, 0);
  return { busy, all: times.reduce((sum, [, idle]) => sum + idle, busy) };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

const shown = (value: number): number => Number(value.toPrecision(3));

/** By the name of the version. */
type Results = ReadonlyMap<string, readonly Figures[]>;

function show(results: Results): void {
  const names = Object.keys([...results.values()][0]?.[0] ?? {});
  const table = names.map((name) => {
    const values = [...results].map(
      ([version, runs]) => [version, runs.map((run) => run[name] ?? Number.NaN)] as const,
    );
    const medians = values.map(([version, all]) => [version, shown(median(all))] as const);
    const spread = values.map(([version, all]) => [`${version}: all`, all.map(shown).join(" ")] as const);
    const [one, other] = medians.map(([, value]) => value);
    const ratio = one === undefined || other === undefined ? {} : { "present / before": shown(other / one) };
    return [name, { ...Object.fromEntries(medians), ...ratio, ...Object.fromEntries(spread) }] as const;
  });
  console.table(Object.fromEntries(table));
}

const chosen = (options.only ?? "*")
  .split(",")
  .flatMap((pattern) => ALL.filter(({ name }) => matchesGlob(name, pattern)));
for (const scenario of chosen) {
  const results = new Map(VERSIONS.map(({ name }) => [name, [] as Figures[]]));
  const loads: string[] = [];
  const rounds = Number(options.rounds ?? scenario.rounds);
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, folder } of round % 2 === 0 ? VERSIONS : VERSIONS.toReversed()) {
      loads.push(`${await busyPercent()} %, ${(loadavg()[0] ?? 0).toFixed(1)}`);
      await using rig = await openRig({
        settings: scenario.settings ?? {},
        ...(folder === undefined ? {} : { folder }),
      });
      results.get(name)?.push(await scenario.measure(rig));
    }
  }
  console.log(
    `${scenario.name}, medians of ${rounds}. Before each run others used, and the load was: ${loads.join("; ")}`,
  );
  show(results);
}
