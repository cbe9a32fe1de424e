import { expect, test } from "vitest";
import { AutoResetEvent } from "../../src/base/auto-reset-event.ts";
import type { HeldDestination } from "../../src/limits/answer-budget.ts";
import { reportHeld } from "../../src/limits/held-report.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

function setUp() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const durations: unknown[] = [];
  const messages: string[] = [];
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push(`${level} ${String(fields["host"])}`);
    messages.push(message);
    durations.push(fields["durationMs"]);
  };
  const log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  let held: readonly HeldDestination[] = [];
  let looks = 0;
  const answers = {
    get held(): readonly HeldDestination[] {
      looks += 1;
      return held;
    },
    refusal: new AutoResetEvent(),
  };
  const stop = new AbortController();
  const ended = reportHeld(answers, { clock, log })(stop.signal);
  const hold = (...names: string[]): void => {
    const since = clock.now();
    held = names.map((name) => ({ name, since, answers: 1, bytes: 1 }));
    answers.refusal.notify();
  };
  const seconds = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second += 1) {
      await turn();
      clock.advance(1_000);
      await turn();
    }
  };
  return {
    clock,
    lines,
    durations,
    messages,
    get looks() {
      return looks;
    },
    hold,
    seconds,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await ended;
    },
  };
}

test("a destination that is held back for a second is reported once, and once when it was not for a while", async () => {
  await using t = setUp();
  await t.seconds(5);
  t.hold("a", "b");
  await t.seconds(30);
  expect(t.lines).toEqual(["warn a", "warn b"]);
  t.hold();
  await t.seconds(3);
  t.hold("a");
  await t.seconds(1);
  t.hold();
  await t.seconds(4);
  expect(t.lines).toEqual(["warn a", "warn b", "info b"]);
  await t.seconds(10);
  expect(t.lines).toEqual(["warn a", "warn b", "info b", "info a"]);
  t.hold("a");
  await t.seconds(2);
  expect(t.lines.at(-1)).toBe("warn a");
});

test("one that is held back for less than a second is not, nor are hundreds one by one", async () => {
  await using t = setUp();
  t.hold("a");
  await turn();
  t.hold();
  await t.seconds(10);
  expect(t.lines).toEqual([]);
  t.hold(...Array.from({ length: 300 }, (_, index) => `host ${index}`));
  await t.seconds(10);
  expect(t.lines).toHaveLength(20);
});

test("one is reported when it was held back for a second, and no longer held after five looks without it, with how long that took", async () => {
  await using t = setUp();
  await t.seconds(10);
  t.hold("a");
  await turn();
  t.clock.advance(500);
  t.hold("b");
  await turn();
  t.clock.advance(500);
  await turn();
  expect(t.lines).toEqual([]);
  await t.seconds(1);
  expect(t.lines).toEqual(["warn b"]);
  t.hold();
  await t.seconds(4);
  expect(t.lines).toEqual(["warn b"]);
  await t.seconds(1);
  expect([t.lines, t.durations]).toEqual([
    ["warn b", "info b"],
    [undefined, 6_500],
  ]);
});

test("one that is held back for exactly a second is reported", async () => {
  await using t = setUp();
  t.hold("a");
  await t.seconds(1);
  expect(t.lines).toEqual(["warn a"]);
});

test("rows without a host are said to stay in the outbox: no request could start", async () => {
  await using t = setUp();
  t.hold("");
  await t.seconds(1);
  t.hold();
  await t.seconds(6);
  expect(t.messages).toEqual([
    expect.stringMatching(/^rows whose url has no host stay in the outbox/),
    "rows whose url has no host are read again",
  ]);
});

test("P8: as long as no start is refused nobody looks", async () => {
  await using t = setUp();
  await t.seconds(1);
  const { looks } = t;
  await t.seconds(100);
  expect(t.looks).toBe(looks);
});

test("when the daemon stops nothing more is said", async () => {
  const t = setUp();
  t.hold("a");
  await turn();
  t.clock.advance(999);
  t.hold("b");
  const stopped = t[Symbol.asyncDispose]();
  t.clock.advance(1_000);
  await stopped;
  expect(t.lines).toEqual([]);
});
