import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase } from "../support/postgres.ts";

/** Three times as long as the server waits here for a sign of life of this process. */
const STALL_MS = 3_000;

/** Nothing goes on in this process meanwhile, as when it is suspended. */
function stall(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
}

test.each([
  ["sockets are read", setTimeout],
  ["timers are called", setImmediate],
])(
  "P3: what the server wrote before this process stalled is no sign of life where afterwards first %s",
  async (_, later) => {
    await using db = await testDatabase();
    const heard: { readonly aliveAt: number; readonly readAt: number }[] = [];
    await using stream = await startStream(db.url, {
      senderTimeoutMs: STALL_MS / 3,
      heard: (at) => heard.push({ aliveAt: at, readAt: systemClock.now() }),
    });
    await eventually(() => heard.length > 3);
    const { stalledAt, resumedAt } = await new Promise<{ readonly stalledAt: number; readonly resumedAt: number }>(
      (resolve) => {
        later(() => {
          const stalledAt = systemClock.now();
          stall();
          resolve({ stalledAt, resumedAt: systemClock.now() });
        });
      },
    );
    await eventually(() => stream.losses > 0);
    const lostAt = systemClock.now();
    const readLate = heard.filter(({ readAt }) => readAt >= resumedAt && readAt <= lostAt);
    expect(readLate.filter(({ aliveAt }) => aliveAt > stalledAt)).toEqual([]);
  },
);
