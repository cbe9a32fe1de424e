import { expect, test } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { type StreamTry, superviseSessions } from "../../src/wal/supervise.ts";
import type { StreamTrouble } from "../../src/wal/trouble.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** Supervises streams that end as `script` says, one entry each; the last waits for the end of the test. */
function supervise(script: readonly ((attempt: StreamTry, clock: FakeClock) => unknown)[]): {
  readonly clock: FakeClock;
  readonly tries: { readonly at: number; readonly renewSlot: boolean }[];
  readonly lines: unknown[];
  readonly troubles: (StreamTrouble | null)[];
  readonly polls: number[];
  run(ms: number): Promise<void>;
  stop(): Promise<void>;
} {
  const clock = new FakeClock();
  const stop = new AbortController();
  const tries: { at: number; renewSlot: boolean }[] = [];
  const lines: unknown[] = [];
  const troubles: (StreamTrouble | null)[] = [];
  const polls: number[] = [];
  const say = (fields: object, message: string): void => {
    lines.push({ ...fields, message });
  };
  const untilStopped = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  const ended = superviseSessions(
    {
      stream: async (attempt, signal) => {
        const step = script[tries.length];
        tries.push({ at: clock.now(), renewSlot: attempt.renewSlot });
        if (step === undefined) return untilStopped(signal);
        throw step(attempt, clock);
      },
      poll: async (signal) => {
        polls.push(clock.now());
        await untilStopped(signal);
      },
      lost: () => undefined,
      trouble: (now) => troubles.push(now),
    },
    { clock, log: { debug: say, info: say, warn: say, error: say }, signal: stop.signal },
  );
  return {
    clock,
    tries,
    lines,
    troubles,
    polls,
    async run(ms) {
      for (let step = 0; step < ms; step += 50) {
        for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
        clock.advance(50);
      }
    },
    async stop() {
      stop.abort();
      await ended;
    },
  };
}

const refused = (): Error => new PgnetdError("STREAM_UNAVAILABLE", "no slot is free");
const missing = (attempt: StreamTry): Error => {
  attempt.begun();
  return Object.assign(new Error("publication does not exist"), { code: "42704" });
};

test("without a stream it sweeps, tries again after growing waits, and says the same reason once", async () => {
  const run = supervise(Array.from({ length: 9 }, () => refused));
  await run.run(60_000);
  await run.stop();
  const waits = run.tries.slice(1).map(({ at }, index) => at - (run.tries[index]?.at ?? 0));
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
  expect(run.polls).toHaveLength(9);
  expect(run.lines).toHaveLength(1);
  expect(run.troubles.at(-1)).toMatchObject({ reason: "no slot is free" });
});

test("a stream that ends as soon as it began is no reason to try without pause, or to say it again", async () => {
  const run = supervise(Array.from({ length: 8 }, () => missing));
  await run.run(20_000);
  await run.stop();
  const waits = run.tries.slice(1).map(({ at }, index) => at - (run.tries[index]?.at ?? 0));
  expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
  expect(run.lines).toHaveLength(1);
  // The slot looks at the past: only a new one can do without what is missing there.
  expect(run.tries.map(({ renewSlot }) => renewSlot)).toEqual([false, ...Array.from({ length: 8 }, () => true)]);
});

test("a stream that held is found again at once, and its next end is said", async () => {
  const lost = (attempt: StreamTry, clock: FakeClock): Error => {
    attempt.begun();
    clock.advance(6_000);
    return new PgnetdError("STREAM_LOST", "the server ended the replication connection");
  };
  const run = supervise([refused, refused, refused, lost, lost]);
  await run.run(5_000);
  await run.stop();
  const waits = run.tries.slice(1).map(({ at }, index) => at - (run.tries[index]?.at ?? 0));
  expect(waits).toEqual([100, 200, 400, 6_100, 6_100]);
  expect(run.lines).toHaveLength(3);
  expect(run.tries.some(({ renewSlot }) => renewSlot)).toBe(false);
});

test("what pgnetd cannot read is left behind with its slot", async () => {
  const run = supervise([() => new PgnetdError("STREAM_UNREADABLE", "?"), refused]);
  await run.run(1_000);
  await run.stop();
  // Until a stream flows.
  expect(run.tries.map(({ renewSlot }) => renewSlot)).toEqual([false, true, true]);
});

test.each([
  ["invalid memory alloc request size", "XX000", true],
  ["cannot enlarge string buffer", "54000", true],
  ["requested WAL segment has already been removed", "58P01", true],
  ["terminating connection due to administrator command", "57P01", false],
  ["replication slot is active", "55006", false],
])("P4: a stream that the server itself cannot go on with is left behind: %s (%s)", async (message, code, renewed) => {
  const failed = Object.assign(new Error(message), { code });
  const begunFirst = (attempt: StreamTry): Error => {
    attempt.begun();
    return failed;
  };
  const run = supervise([() => failed, begunFirst, refused]);
  await run.run(2_000);
  await run.stop();
  // Before it flowed, the slot is not at fault.
  expect(run.tries.map(({ renewSlot }) => renewSlot)).toEqual([false, false, renewed, renewed]);
});
