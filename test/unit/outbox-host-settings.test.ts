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

test("P7: settings are of a host with or without a trailing dot, and those without hold", async () => {
  const settings = (rate: number): object => ({ ratePerSecond: rate, concurrency: 4, paused: true });
  const [plain, dotted] = [row("a", 1), row("a.", 2)];
  for (const rows of [
    [plain, dotted],
    [dotted, plain],
  ]) {
    expect([...(await readHostSettings(withRows(...rows)))]).toEqual([["a", settings(1)]]);
  }
  expect([...(await readHostSettings(withRows(dotted)))]).toEqual([["a", settings(2)]]);
});

test("P7: a host without a rate of its own is not among the rates", async () => {
  expect([...ratesOf(await readHostSettings(withRows(row("a", 3), row("b", null))))]).toEqual([["a", 3]]);
});
