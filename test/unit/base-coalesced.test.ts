import { expect, test } from "vitest";
import { Coalesced } from "../../src/base/coalesced.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

const EVERY_MS = 5_000;

test("what is asked for all the time is done at once, and then at equal intervals", async () => {
  const clock = new FakeClock();
  const at: number[] = [];
  const act = (): void => void at.push(clock.now());
  const coalesced = new Coalesced({ act, everyMs: EVERY_MS, clock, signal: new AbortController().signal });
  for (let ms = 0; ms < 15_000; ms += 100) {
    for (let times = 0; times < 100; times += 1) coalesced.ask();
    await turn();
    clock.advance(100);
    await turn();
  }
  expect(at).toEqual([0, 5_000, 10_000, 15_000]);
});

test("what is asked for while it is being done is done once more, not at the same time", async () => {
  const clock = new FakeClock();
  const running: PromiseWithResolvers<void>[] = [];
  const act = async (): Promise<void> => {
    const one = Promise.withResolvers<void>();
    running.push(one);
    await one.promise;
  };
  const coalesced = new Coalesced({ act, everyMs: EVERY_MS, clock, signal: new AbortController().signal });
  coalesced.ask();
  await turn();
  coalesced.ask();
  clock.advance(2 * EVERY_MS);
  await turn();
  expect(running).toHaveLength(1);
  running[0]?.resolve();
  await turn();
  expect(running).toHaveLength(2);
  running[1]?.resolve();
});

test("nothing is done after the end", async () => {
  const clock = new FakeClock();
  const end = new AbortController();
  let count = 0;
  const coalesced = new Coalesced({ act: () => void count++, everyMs: EVERY_MS, clock, signal: end.signal });
  coalesced.ask();
  await turn();
  coalesced.ask();
  end.abort();
  await turn();
  clock.advance(100_000);
  await turn();
  coalesced.ask();
  await turn();
  expect(count).toBe(1);
});
