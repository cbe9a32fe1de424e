import { expect, test } from "vitest";
import { Restarts } from "../../src/cli/restarts.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

const quiet = (): void => undefined;

test("restarts asked for again and again come once a minute", async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const info = (_fields: object, message: string): void => void lines.push(message);
  const restarts = new Restarts({ clock, log: { debug: quiet, info, warn: quiet, error: quiet } });
  const at: number[] = [];
  let run = new AbortController();
  // Each run of the daemon ends with its restart.
  const restart = (): void => {
    at.push(clock.now());
    run.abort();
    run = new AbortController();
  };
  for (let ms = 0; ms < 180_000; ms += 100) {
    restarts.ask(restart, run.signal);
    clock.advance(100);
    await turn();
  }
  expect(at).toEqual([0, 60_000, 120_000, 180_000]);
  expect(lines).toHaveLength(3);
});

test("a restart that waits is dropped with the run that it was for", async () => {
  const clock = new FakeClock();
  const restarts = new Restarts({ clock, log: { debug: quiet, info: quiet, warn: quiet, error: quiet } });
  const run = new AbortController();
  let count = 0;
  const restart = (): void => void count++;
  restarts.ask(restart, run.signal);
  restarts.ask(restart, run.signal);
  run.abort();
  await turn();
  clock.advance(100_000);
  await turn();
  expect(count).toBe(1);
});
