import { expect, test } from "vitest";
import { waitMsOf } from "../../src/cli/send.ts";

test.each([
  ["the default timeout and thirty seconds", {}, 35_000],
  ["its own timeout, in milliseconds, and thirty seconds", { timeout: 100 }, 30_100],
  ["as many seconds as it is told to", { timeout: 100, wait: 2 }, 2_000],
  ["not at all where it is told so", { wait: 0 }, 0],
])("send waits %s", (_, flags, waitMs) => {
  expect(waitMsOf(flags)).toBe(waitMs);
});
