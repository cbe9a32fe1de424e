import { expect, test } from "vitest";
import type { Outcome } from "../../src/http/outcome.ts";
import type { Completion } from "../../src/results/completion.ts";
import { rowOf } from "../../src/results/row.ts";
import { ForeignRequests } from "../../src/sending/foreign-requests.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";

const request = requestOf("http://a/");
const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };

function failed(code: "other_installation" | "dns"): Outcome {
  return { kind: "failed", code, message: "", detail: null, maybeReceived: false, timings };
}

const FOREIGN: Completion = { kind: "dead", request, outcome: failed("other_installation") };
const OTHERS: readonly Completion[] = [
  { kind: "dead", request, outcome: failed("dns") },
  { kind: "deferred", request, outcome: null, delayMs: 1 },
];

test("requests of another installation are reported once a minute, and have the installation read again once a second", () => {
  const clock = new FakeClock();
  const written: Completion[] = [];
  const said: object[] = [];
  let identified = 0;
  const log = {
    debug: quiet,
    info: quiet,
    warn: (fields: object, message: string) => void said.push({ ...fields, message }),
    error: quiet,
  };
  const results = { write: (one: Completion) => void written.push(one), drained: async () => undefined };
  const foreign = new ForeignRequests({ results, identify: () => void identified++, clock, log });
  for (const one of OTHERS) foreign.write(one, null);
  expect([said, identified]).toEqual([[], 0]);
  for (let ms = 0; ms <= 60_000; ms += 500) {
    foreign.write(FOREIGN, null);
    clock.advance(500);
  }
  const line = {
    message: "requests of another installation are not sent: they are dead letters",
    hint: expect.stringContaining("pgnetd replay") as unknown,
  };
  expect([said, identified]).toEqual([[line, line], 61]);
  expect(written).toEqual([...OTHERS, ...Array.from({ length: 121 }, () => FOREIGN)]);
});

test("a request of another installation has used up no try", () => {
  expect(rowOf(request, failed("other_installation"))).toMatchObject({ attempts: 0 });
  expect(rowOf(request, failed("dns"))).toMatchObject({ attempts: 1 });
});

function quiet(): void {
  // Nobody reads it.
}
