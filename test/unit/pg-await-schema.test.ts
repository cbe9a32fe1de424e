import { expect, it } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { awaitSchema } from "../../src/pg/await-schema.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

/** Longer than the longest wait between two tries, in milliseconds. */
const LONG_MS = 10_000;

/** A database with the schema of `version`. */
function database(version: number): Queryable {
  const answer = {
    rows: [{ installed: version > 0, version, database: "app", owner: null, standby: false }],
    rowCount: 1,
  };
  const nothingForeign = { rows: [], rowCount: 0 };
  return {
    query: async ({ text }) => (/pg_auth_members|row_security_active/.test(text) ? nothingForeign : answer) as never,
  };
}

/** Waits for a database of `version` whose reading ends as `completions` say, one after the other. */
function wait(version: number, completions: readonly (string | Error)[]) {
  const clock = new FakeClock();
  const warnings: string[] = [];
  const quiet = (): void => undefined;
  const log = { debug: quiet, info: quiet, warn: (_: unknown, text: string) => warnings.push(text), error: quiet };
  const left = [...completions];
  const read = async (): Promise<{ readonly what: string }> => {
    const completion = left.shift() ?? new Error("read once too often");
    if (completion instanceof Error) throw completion;
    return { what: completion };
  };
  const stop = new AbortController();
  const result = awaitSchema(database(version), { read }, { clock, log, signal: stop.signal });
  result.catch(quiet);
  const later = async (): Promise<void> => {
    await turn();
    clock.advance(LONG_MS);
    await turn();
  };
  return { result, warnings, later, stop };
}

it("returns what was read with the schema there", async () => {
  expect(await wait(LATEST_VERSION, ["settings"]).result).toEqual({ what: "settings" });
});

it("P2: a database that goes between the look at its schema and the first reading is waited for like any other", async () => {
  const gone = Object.assign(new Error("terminating connection due to administrator command"), { code: "57P01" });
  const { result, warnings, later } = wait(LATEST_VERSION, [gone, gone, "settings"]);
  await later();
  await later();
  expect(await result).toEqual({ what: "settings" });
  expect(warnings).toEqual([`the database cannot be used: ${gone.message}`]);
});

it("does not wait for what only a person can mend", async () => {
  const wrong = new PgnetdError("CONFIG_INVALID", "pg_net.ttl must be an interval");
  await expect(wait(LATEST_VERSION, [wrong]).result).rejects.toBe(wrong);
  await expect(wait(LATEST_VERSION + 1, ["settings"]).result).rejects.toMatchObject({ code: "SCHEMA_NEWER" });
});

it("reads nothing without the schema, and ends when asked to", async () => {
  const { result, warnings, later, stop } = wait(0, ["settings"]);
  await later();
  stop.abort();
  expect(await result).toBeNull();
  expect(warnings).toEqual(["there is no schema net in database app"]);
});
