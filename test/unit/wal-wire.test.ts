import { expect, test } from "vitest";
import { askEveryMs } from "../../src/wal/wire.ts";

test.each([
  ["five times within the server's timeout", { senderTimeoutMs: 4_000, fenceMs: 3_000 }, false, 800],
  ["three times within the fence", { senderTimeoutMs: 10_000, fenceMs: 3_000 }, false, 1_000],
  ["more often of a busy server", { senderTimeoutMs: 10_000, fenceMs: 3_000 }, true, 400],
  ["no less often of a busy server", { senderTimeoutMs: 1_000, fenceMs: 900 }, true, 200],
])("P3: a sign of life is asked for %s", (_, silence, isBusy, everyMs) => {
  expect(askEveryMs(silence, isBusy)).toBe(everyMs);
});
