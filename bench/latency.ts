/**
 * From commit to request: single requests, each in a transaction of its own, at a steady `--rate` for `--seconds`. One clock:
 * all processes are on this machine.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { eventually } from "../test/support/eventually.ts";
import { percentile } from "./support/numbers.ts";
import { usageOf } from "./support/process-usage.ts";
import { openRig } from "./support/rig.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "100" },
    seconds: { type: "string", default: "20" },
  },
});

const CALL = {
  name: "call",
  text: "with call as materialized (select net.http_get($1 || $2::text)) insert into bench_call (n) select $2::int from call",
};
const SELECT_COMMITS =
  "select n, extract(epoch from pg_xact_commit_timestamp(xmin))::float8 * 1000 as at from bench_call order by n";
const COUNT_ANSWERED = "select count(*)::int as count from net._http_response";
const WARM_UP = 200;

const count = Number(values.rate) * Number(values.seconds);
const everyMs = 1000 / Number(values.rate);

await using rig = await openRig({ settings: { track_commit_timestamp: "on" } });
await rig.client.query("create table bench_call (n int primary key)");
await using daemon = await rig.startDaemon("unlimited");

/** When each call was answered to the caller, by its number. */
const acknowledged = new Float64Array(count + WARM_UP + 1);
const start = performance.now();
let cpuMs = 0;
for (let n = 1; n <= WARM_UP + count; n += 1) {
  if (n === WARM_UP + 1) cpuMs = usageOf(daemon.pid).cpuMs;
  const due = start + n * everyMs - performance.now();
  if (due > 0) await delay(due);
  await rig.client.query({ ...CALL, values: [rig.receiverUrl, n] });
  acknowledged[n] = performance.timeOrigin + performance.now();
}
await eventually(async () => {
  const { rows } = await rig.client.query<{ count: number }>(COUNT_ANSWERED);
  return rows[0]?.count === WARM_UP + count;
}, 30_000);
const { cpuMs: cpuAfter } = usageOf(daemon.pid);

const { times, numbers } = await rig.report();
const commits = await rig.client.query<{ n: number; at: number }>(SELECT_COMMITS);
const arrived = new Map(Array.from(numbers, (n, index) => [n, times[index] ?? Number.NaN]));
const measured = commits.rows.filter(({ n }) => n > WARM_UP);
const fromCommit = measured.map(({ n, at }) => (arrived.get(n) ?? Number.NaN) - at);
const fromAnswer = measured.map(({ n }) => (arrived.get(n) ?? Number.NaN) - (acknowledged[n] ?? Number.NaN));

function row(what: string, unsorted: readonly number[]): object {
  const sorted = unsorted.toSorted((a, b) => a - b);
  const rounded = (share: number): number => Number(percentile(sorted, share).toFixed(2));
  return {
    "milliseconds to the request": what,
    p50: rounded(0.5),
    p90: rounded(0.9),
    p99: rounded(0.99),
    most: rounded(1),
  };
}
console.log(
  `${count} requests at ${values.rate} per second; daemon: ${((cpuAfter - cpuMs) / count).toFixed(3)} ms of CPU each`,
);
console.table([
  row("from the commit record, before it is on disk", fromCommit),
  row("from the answer to the caller's commit", fromAnswer),
]);
