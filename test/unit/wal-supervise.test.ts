import { expect, test } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { stopped } from "../../src/base/loops.ts";
import { type PollTry, type StreamTry, superviseSessions } from "../../src/replication/supervise.ts";
import type { StreamOutage } from "../../src/slot/stream-outage.ts";
import { FakeClock } from "../support/fake-clock.ts";

type Step = (attempt: StreamTry, clock: FakeClock, signal: AbortSignal) => unknown;
type Poll = (attempt: PollTry, signal: AbortSignal) => Promise<void>;

/** Leads until it is asked to end. */
const leads: Poll = async ({ begun }, signal) => {
  begun();
  await stopped(signal);
};

/**
 * Supervises streams that end with what the steps of `script` give, one entry each; the last waits for the end of the test.
 * Sessions that sweep go as `sweeps` say, and then without an end of their own.
 */
function supervise(
  script: readonly Step[],
  sweeps: readonly Poll[] = [],
  handover?: () => Promise<void>,
): {
  readonly clock: FakeClock;
  readonly tries: { readonly at: number; readonly renewSlot: boolean }[];
  readonly lines: unknown[];
  readonly outages: (StreamOutage | null)[];
  readonly polls: number[];
  /** What began and ended, in order. */
  readonly events: string[];
  run(ms: number): Promise<void>;
  stop(): Promise<void>;
} {
  const clock = new FakeClock();
  const stop = new AbortController();
  const tries: { at: number; renewSlot: boolean }[] = [];
  const lines: unknown[] = [];
  const outages: (StreamOutage | null)[] = [];
  const polls: number[] = [];
  const events: string[] = [];
  const say = (fields: object, message: string): void => {
    lines.push({ ...fields, message });
  };
  const ended = superviseSessions(
    {
      stream: async (attempt, signal) => {
        const step = script[tries.length];
        tries.push({ at: clock.now(), renewSlot: attempt.renewSlot });
        events.push(attempt.handover === null ? "try" : "try beside");
        if (step === undefined) await stopped(signal);
        const failure = await step?.(attempt, clock, signal);
        events.push(signal.aborted ? "try asked to end" : "try failed");
        throw failure;
      },
      poll: async (attempt, signal) => {
        const poll = sweeps[polls.length] ?? leads;
        polls.push(clock.now());
        events.push("sweep");
        await poll(attempt, signal).finally(() => events.push("sweep ended"));
      },
      lost: () => events.push("lost"),
      outage: (now) => outages.push(now),
    },
    { clock, log: { debug: say, info: say, warn: say, error: say }, signal: stop.signal, handover },
  );
  return {
    clock,
    tries,
    lines,
    outages,
    polls,
    events,
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
  expect(run.polls).toEqual([0]);
  expect(run.lines).toHaveLength(1);
  expect(run.outages.at(-1)).toMatchObject({ reason: "no slot is free" });
});

test("where nobody can log in, nothing is said of an outbox that is swept", async () => {
  const failed = Object.assign(new Error("password authentication failed"), { code: "28P01" });
  const run = supervise([() => failed], [() => Promise.reject(failed)]);
  await run.run(50);
  await run.stop();
  expect(run.lines).toEqual([expect.objectContaining({ message: "no connection to the database" })]);
});

test("P3: a server that is away is tried every half second however long it is away, one that refuses ever more seldom", async () => {
  const waitsWith = async (code: string): Promise<readonly number[]> => {
    const failed = Object.assign(new Error("?"), { code });
    const run = supervise(
      Array.from({ length: 30 }, () => () => failed),
      Array.from({ length: 30 }, () => () => Promise.reject(failed)),
    );
    await run.run(30_000);
    await run.stop();
    return run.tries.slice(1, 9).map(({ at }, index) => at - (run.tries[index]?.at ?? 0));
  };
  for (const away of ["ECONNREFUSED", "57P03"]) {
    expect(await waitsWith(away)).toEqual([100, 200, 400, 500, 500, 500, 500, 500]);
  }
  expect(await waitsWith("28P01")).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000]);
});

test("a standby that leads at last tries for a stream at once, however often its sessions were lost before", async () => {
  const reset = Object.assign(new Error("terminating connection"), { code: "57P01" });
  const standsBy: Poll = async (_attempt, signal) => {
    await run.clock.sleep(1_000, signal);
    throw reset;
  };
  const leadsLater: Poll = async ({ begun }, signal) => {
    await run.clock.sleep(20_000, signal);
    begun();
    await stopped(signal);
  };
  const run = supervise(
    Array.from({ length: 10 }, () => () => reset),
    [...Array.from({ length: 9 }, () => standsBy), leadsLater],
  );
  await run.run(60_000);
  await run.stop();
  const leadsAt = (run.polls[9] ?? 0) + 20_000;
  const triedAt = run.tries.at(-1)?.at ?? 0;
  expect([run.polls.length, triedAt >= leadsAt, triedAt <= leadsAt + 50]).toEqual([10, true, true]);
});

test("an outage is over when a stream has begun", async () => {
  const flowing = async (attempt: StreamTry, _clock: FakeClock, signal: AbortSignal): Promise<Error> => {
    attempt.begun();
    await stopped(signal);
    return refused();
  };
  const run = supervise([refused, flowing]);
  await run.run(5_000);
  expect(run.outages.map((outage) => outage?.reason ?? null)).toEqual(["no slot is free", null]);
  await run.stop();
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

test("P4: a slot that was recreated stays once its stream flowed", async () => {
  const lost = (attempt: StreamTry): Error => {
    attempt.begun();
    return new PgnetdError("STREAM_LOST", "the server ended the replication connection");
  };
  const run = supervise([() => new PgnetdError("STREAM_UNREADABLE", "?"), lost, refused]);
  await run.run(1_000);
  await run.stop();
  expect(run.tries.map(({ renewSlot }) => renewSlot).slice(0, 4)).toEqual([false, true, false, false]);
});

test.each([
  ["invalid memory alloc request size", "XX000", true],
  ["cannot enlarge string buffer", "54000", true],
  ["requested WAL segment has already been removed", "58P01", true],
  ["could not write to data file for XID 826: No space left on device", "53100", true],
  ["out of memory", "53200", true],
  ["sorry, too many clients already", "53300", false],
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

const untilStopped: Step = (_attempt, _clock, signal) => stopped(signal);
/** A stream that is had, and flows until it is asked to end. */
const handed: Step = async (attempt, _clock, signal) => {
  await attempt.handover?.();
  attempt.begun();
  await stopped(signal);
};
const handedAndLost: Step = async (attempt) => {
  await attempt.handover?.();
  attempt.begun();
  return new PgnetdError("STREAM_LOST", "the server ended the replication connection");
};
/** The lead is given up for it, and it fails all the same. */
const handedInVain: Step = async (attempt) => {
  await attempt.handover?.();
  return refused();
};
/** Hangs until it is asked to end, and then still calls for leadership. */
const handedTooLate: Step = async (attempt, _clock, signal) => {
  await stopped(signal);
  await attempt.handover?.();
};
const cutOff = async (): Promise<void> => {
  throw new Error("connection terminated");
};
/** Leads for a while, and is cut off. */
const leadsThenCutOff: Poll = async ({ begun }) => {
  begun();
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  await cutOff();
};

const BEGIN = ["try", "try failed", "lost", "sweep"];

test.each<[what: string, script: readonly Step[], sweeps: readonly Poll[], events: readonly string[]]>([
  [
    "a try that fails leaves the session that sweeps alone",
    [refused, refused, refused],
    [leads],
    [...BEGIN, "try beside", "try failed", "try beside", "try failed", "try beside"],
  ],
  [
    "a stream is handed leadership when it is ready, and nothing else is tried",
    [refused, refused, handed],
    [leads],
    [...BEGIN, "try beside", "try failed", "try beside", "sweep ended", "lost"],
  ],
  [
    "a stream that was handed leadership and ended is followed by sweeping at once",
    [refused, handedAndLost],
    [leads],
    [...BEGIN, "try beside", "sweep ended", "lost", "try failed", "lost", "sweep", "try beside"],
  ],
  [
    "the same where it never flowed",
    [refused, handedInVain],
    [leads],
    [...BEGIN, "try beside", "sweep ended", "lost", "try failed", "lost", "sweep", "try beside"],
  ],
  ["nothing is tried beside a session that stands by", [refused], [(_attempt, signal) => stopped(signal)], BEGIN],
  [
    "a session that sweeps and is cut off takes the try beside it along",
    [refused, untilStopped, untilStopped],
    [leadsThenCutOff],
    [...BEGIN, "try beside", "sweep ended", "lost", "try asked to end", "try"],
  ],
  [
    "a try that calls for leadership after that is not handed it",
    [refused, handedTooLate, untilStopped],
    [leadsThenCutOff],
    [...BEGIN, "try beside", "sweep ended", "lost", "try asked to end", "try"],
  ],
  [
    "without a connection a stream is tried by itself",
    [refused, refused],
    [cutOff, cutOff],
    [...BEGIN, "sweep ended", "lost", "try", "try failed", "lost", "sweep", "sweep ended", "lost", "try"],
  ],
])("P3: %s", async (_what, script, sweeps, events) => {
  const run = supervise(script, sweeps);
  await run.run(1_000);
  expect(run.events).toEqual(events);
  await run.stop();
});

/** Takes its time to end. */
const endsLate: Poll = async (attempt, signal) => {
  await leads(attempt, signal);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
};

test.each<[when: string, script: readonly Step[], sweeps: readonly Poll[], events: readonly string[]]>([
  ["before anything came of the first try", [untilStopped], [], ["try", "try asked to end", "lost"]],
  ["between two tries", [refused, refused], [leads], [...BEGIN, "try beside", "try failed", "sweep ended", "lost"]],
  [
    "in the middle of a try",
    [refused, untilStopped],
    [endsLate],
    [...BEGIN, "try beside", "try asked to end", "sweep ended", "lost"],
  ],
  [
    "in the middle of a handover",
    [refused, handed],
    [endsLate],
    [...BEGIN, "try beside", "sweep ended", "lost", "try asked to end", "lost"],
  ],
  [
    "while a stream flows that was handed leadership",
    [refused, handed],
    [leads],
    [...BEGIN, "try beside", "sweep ended", "lost", "try asked to end", "lost"],
  ],
])("everything ends when it is asked to %s", async (_when, script, sweeps, events) => {
  const run = supervise(script, sweeps);
  await run.run(150);
  await run.stop();
  expect(run.events).toEqual(events);
});

test("P5: the signal of every session that has ended has fired, so that nothing stays bound to it", async () => {
  const fired: boolean[] = [];
  // By a listener: a combined signal that nobody listens to forgets that it fired when its sources are collected.
  const note = (signal: AbortSignal): void => {
    const at = fired.push(false) - 1;
    signal.addEventListener("abort", () => (fired[at] = true), { once: true });
  };
  const fails: Poll = async ({ begun }, signal) => {
    note(signal);
    begun();
    await cutOff();
  };
  const seen: Step = (_attempt, _clock, signal) => {
    note(signal);
    return refused();
  };
  const run = supervise([refused, seen, refused, handedAndLost, refused], [leadsThenCutOff, fails, fails, leads]);
  await run.run(2_000);
  expect(fired.length).toBeGreaterThan(2);
  expect(fired).not.toContain(false);
  await run.stop();
});

test("leadership is taken over by a session that sweeps, which is tried until the present leader has ended", async () => {
  const ended: number[] = [];
  const failsBefore: Poll = async () => {
    throw new Error("the lock for handing over is taken");
  };
  const takesOver: Poll = async (attempt, signal) => {
    await attempt.handover?.();
    await leads(attempt, signal);
  };
  const failsAfter: Poll = async (attempt) => {
    await attempt.handover?.();
    throw new Error("cut off");
  };
  const run = supervise([], [failsBefore, failsBefore, takesOver], async () => void ended.push(run.clock.now()));
  await run.run(2_000);
  await run.stop();
  expect(run.polls).toEqual([0, 100, 300]);
  expect(ended).toEqual([300]);
  expect(run.tries).toHaveLength(1);
  expect(run.events.slice(-3)).toEqual(["try asked to end", "sweep ended", "lost"]);
  expect(run.lines).toHaveLength(1);

  // From then on it is as after any loss.
  const cut = supervise([refused], [failsAfter], async () => undefined);
  await cut.run(2_000);
  await cut.stop();
  expect(cut.events.slice(0, 5)).toEqual(["sweep", "sweep ended", "lost", "try", "try failed"]);
});
