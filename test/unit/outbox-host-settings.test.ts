import { expect, test } from "vitest";
import { ratesOf, readHostSettings } from "../../src/outbox/host-settings.ts";
import type { Queryable } from "../../src/pg/pool.ts";

/** A database in which the settings of hosts are `rows`. */
function withRows(...rows: readonly Readonly<Record<string, unknown>>[]): Queryable {
  return { query: (async () => ({ rows, rowCount: rows.length })) as unknown as Queryable["query"] };
}

const row = (host: string, rate: number | null): Readonly<Record<string, unknown>> => ({
  host,
  rate_per_second: rate,
  concurrency: 4,
  paused: true,
});

test.each([
  ["a trailing dot", "a.", "a"],
  ["letters beyond ASCII", "bücher.example", "xn--bcher-kva.example"],
  ["capital letters beyond ASCII", "bÜcher.example", "xn--bcher-kva.example"],
  ["an address of fewer parts", "127.1", "127.0.0.1"],
  ["an address in hexadecimal", "0x7f000001", "127.0.0.1"],
  ["a long IPv6 address", "[0:0:0:0:0:0:0:1]", "[::1]"],
  ["an IPv6 address without brackets, which is no host,", "fe80::a", "fe80::a"],
])("P7: settings in a row with %s, %s, are of the host %s", async (_, text, host) => {
  const settings = await readHostSettings(withRows(row(text, 2)));
  expect([...settings]).toEqual([[host, { ratePerSecond: 2, concurrency: 4, paused: true }]]);
});

test("P7: of several rows for one host the stricter of each setting holds, in whatever order they are read", async () => {
  const rows = [
    { host: "127.0.0.1", rate_per_second: 3, concurrency: null, paused: false },
    { host: "127.1", rate_per_second: 2, concurrency: 5, paused: true },
    { host: "127.0.1", rate_per_second: null, concurrency: 7, paused: false },
  ];
  for (const read of [rows, rows.toReversed()]) {
    expect([...(await readHostSettings(withRows(...read)))]).toEqual([
      ["127.0.0.1", { ratePerSecond: 2, concurrency: 5, paused: true }],
    ]);
  }
});

test("a host is paused where one of its rows says so, and else is not", async () => {
  const rows = [
    { host: "127.0.0.1", rate_per_second: 3, concurrency: null, paused: false },
    { host: "127.1", rate_per_second: 2, concurrency: null, paused: false },
    { host: "a", rate_per_second: 1, concurrency: null, paused: false },
    { host: "b", rate_per_second: 1, concurrency: null, paused: true },
  ];
  const settings = await readHostSettings(withRows(...rows));
  expect([...settings].map(([host, { paused }]) => [host, paused])).toEqual([
    ["127.0.0.1", false],
    ["a", false],
    ["b", true],
  ]);
});

test("P7: a host without a rate of its own is not among the rates", async () => {
  expect([...ratesOf(await readHostSettings(withRows(row("a", 3), row("b", null))))]).toEqual([["a", 3]]);
});
