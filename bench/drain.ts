/**
 * How fast a queue is emptied, and what it costs: `--requests` are queued in one transaction, once while the daemon runs and
 * once before it starts, at each of `--rates`.
 */
import { parseArgs } from "node:util";
import { eventually } from "../test/support/eventually.ts";
import { busiestWindow, lostAndRepeated, percentile } from "./support/numbers.ts";
import { usageOf } from "./support/process-usage.ts";
import { openRig, type Rig } from "./support/rig.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "20000" },
    rates: { type: "string", default: "unlimited,200" },
    /** With a limited rate, at most this many seconds' worth. */
    seconds: { type: "string", default: "10" },
  },
});

const QUEUE = "select net.http_get($1 || n) from generate_series(1, $2) n";
const SELECT_WAITING = "select exists (select from net.http_request_queue) as waiting";
const COUNT_ANSWERED = "select count(*)::int as count from net._http_response where status_code = 200";

async function drain(rig: Rig, rate: string, queued: "before the start" | "while running"): Promise<object> {
  const limit = rate === "unlimited" ? Number.POSITIVE_INFINITY : Number(rate) * Number(values.seconds);
  const count = Math.min(Number(values.requests), limit);
  const queue = (): Promise<unknown> => rig.client.query(QUEUE, [rig.receiverUrl, count]);
  await rig.client.query("truncate net.http_request_queue, net._http_response");
  await rig.report();

  if (queued === "before the start") await queue();
  await using daemon = await rig.startDaemon(rate);
  const before = usageOf(daemon.pid);
  const started = Date.now();
  const resident: number[] = [];
  const sampler = setInterval(() => resident.push(Math.round(usageOf(daemon.pid).rssMb)), 100);
  if (queued === "while running") await queue();
  const committed = Date.now();
  await eventually(async () => {
    const { rows } = await rig.client.query<{ waiting: boolean }>(SELECT_WAITING);
    return rows[0]?.waiting === false;
  }, 600_000);
  const stored = Date.now();
  clearInterval(sampler);
  const after = usageOf(daemon.pid);

  const { times, numbers } = await rig.report();
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  const answered = await rig.client.query<{ count: number }>(COUNT_ANSWERED);
  return {
    rate,
    queued,
    requests: count,
    "sent/s": Math.round((count * 1000) / spanMs),
    "stored ms": stored - (queued === "while running" ? committed : started),
    "most in 1 s": busiestWindow(times, 1_000),
    "in 100 ms": busiestWindow(times, 100),
    "CPU ms each": Number(((after.cpuMs - before.cpuMs) / count).toFixed(3)),
    "RSS MB before": Math.round(before.rssMb),
    "at 1/4, 1/2, 3/4, the end": [0.25, 0.5, 0.75, 1].map((share) => percentile(resident, share)).join(" "),
    "peak RSS MB": Math.round(after.peakRssMb),
    answered: answered.rows[0]?.count,
    ...lostAndRepeated(numbers, count),
  };
}

await using rig = await openRig();
const results: object[] = [];
for (const rate of values.rates.split(",")) {
  results.push(await drain(rig, rate, "while running"), await drain(rig, rate, "before the start"));
}
console.table(results);
