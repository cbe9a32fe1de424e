import { expect, test } from "vitest";
import { readConfig } from "../../src/config/load.ts";
import { withPgNetSettings } from "../../src/config/pg-net.ts";

const DATABASE_URL = "postgres://localhost/app";
const SET = { ttlSeconds: 60, batchSize: 500 };

test("pg_net's settings take the place of defaults", () => {
  const { rate, results } = withPgNetSettings(readConfig({ env: { DATABASE_URL } }), SET);
  expect([rate.perSecond, results.ttlSeconds]).toEqual([500, 60]);
});

test("what is set for pgnetd wins over pg_net's settings", () => {
  const env = { DATABASE_URL, PGNETD_RATE_PER_SECOND: "200", PGNETD_TTL: "6 hours" };
  const { rate, results } = withPgNetSettings(readConfig({ env }), SET);
  expect([rate.perSecond, results.ttlSeconds]).toEqual([200, 21_600]);
});

test.for(["file", "environment"] as const)("what the %s sets for pgnetd wins over pg_net's settings", (source) => {
  const { config, sources } = readConfig({ env: { DATABASE_URL } });
  const set = new Map([...sources, ["rate.perSecond", source] as const, ["results.ttlSeconds", source] as const]);
  expect(withPgNetSettings({ config, sources: set }, SET)).toEqual(config);
});

test("P5: pg_net's settings take effect within the bounds of pgnetd's own", () => {
  const set = { ttlSeconds: 315_576_000_000, batchSize: 2_000_000_000 };
  const { rate, results } = withPgNetSettings(readConfig({ env: { DATABASE_URL } }), set);
  expect([rate.perSecond, results.ttlSeconds]).toEqual([100_000, 3_153_600_000]);
});

test("without pg_net's settings nothing changes", () => {
  const loaded = readConfig({ env: { DATABASE_URL } });
  expect(withPgNetSettings(loaded, { ttlSeconds: null, batchSize: null })).toEqual(loaded.config);
});
