/** What a rate limit delivers to a sender that always has more: `node bench/rate.ts [seconds] [perSecond …]`. */
import { systemClock } from "../src/base/clock.ts";
import { openRateLimit } from "../src/limits/rate.ts";

const [seconds = 5, ...rates] = process.argv.slice(2).map(Number);

for (const perSecond of rates.length > 0 ? rates : [200, 1_000, 5_000]) {
  const starts: number[] = [];
  const done = Promise.withResolvers<void>();
  const opened = systemClock.now();
  const cpu = process.cpuUsage();
  const pump = (): void => {
    while (limit.tryTake()) starts.push(systemClock.now());
    if (systemClock.now() - opened > seconds * 1_000) done.resolve();
  };
  using limit = openRateLimit({ perSecond, onPermit: pump, clock: systemClock });
  pump();
  await done.promise;
  const { user, system } = process.cpuUsage(cpu);
  const lastSecond = starts.filter((at) => at >= opened + 1_000 && at < opened + seconds * 1_000).length;
  console.log(
    JSON.stringify({
      perSecond,
      achieved: Number((lastSecond / (seconds - 1)).toFixed(2)),
      worstSecond: mostWithin(starts, 1_000),
      worst100Ms: mostWithin(starts, 100),
      longestGapMs: Number(Math.max(...starts.slice(1).map((at, index) => at - (starts[index] ?? 0))).toFixed(1)),
      cpuPercent: Number(((user + system) / (seconds * 10_000)).toFixed(1)),
    }),
  );
}

function mostWithin(times: readonly number[], spanMs: number): number {
  let most = 0;
  let first = 0;
  times.forEach((time, index) => {
    while (time - (times[first] ?? 0) >= spanMs) first += 1;
    most = Math.max(most, index - first + 1);
  });
  return most;
}
