import fc from "fast-check";
import { expect, test } from "vitest";
import { readRow } from "../../src/outbox/row.ts";
import { sweep } from "../../src/outbox/sweep.ts";
import { jsonbPairs } from "../../src/pg/jsonb.ts";
import { openPool } from "../../src/pg/pool.ts";
import { startStream } from "../support/fault-stream.ts";
import { emptied } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

const CONTEXT = { maxRedirects: 5, installationMarks: [], assertSame: (): void => undefined };

/** Numbers in every form that JSON has: `jsonb` keeps each digit. */
const number = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.oneof(fc.constant("0"), fc.bigInt({ min: 1n, max: 10n ** 30n }).map(String)),
    fc.option(fc.stringMatching(/^[0-9]{1,20}$/), { nil: null }),
    fc.option(fc.integer({ min: -40, max: 40 }), { nil: null }),
  )
  .map(
    ([sign, whole, fraction, exponent]) =>
      `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`,
  );
/** PostgreSQL's text holds no NUL. */
const string = fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text.replaceAll("\0", "")));
const { value, object } = fc.letrec<{ value: string; object: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "json" },
    string,
    number,
    fc.constantFrom("true", "false", "null"),
    fc.array(tie("value"), { maxLength: 4, depthIdentifier: "json" }).map((items) => `[${items.join(",")}]`),
    tie("object"),
  ),
  object: fc
    .array(fc.tuple(string, tie("value")), { maxLength: 5, depthIdentifier: "json" })
    .map((pairs) => `{${pairs.map(([name, inner]) => `${name}:${inner}`).join(",")}}`),
}));

test("any jsonb is read as jsonb_each_text has it", { timeout: 120_000 }, async () => {
  await using db = await testDatabase({ migrated: false });
  await fc.assert(
    fc.asyncProperty(fc.array(object, { minLength: 50, maxLength: 50 }), async (objects) => {
      const rows = await db.query<{ text: string; pairs: [string, string][] }>(
        `select j::text as text,
          coalesce((select json_agg(array[key, value]) from jsonb_each_text(j) where value is not null), '[]') as pairs
        from unnest($1::text[]::jsonb[]) as j`,
        [objects],
      );
      for (const { text, pairs } of rows) expect(jsonbPairs(text)).toEqual(pairs);
    }),
    { numRuns: 40 },
  );
  expect(fc.sample(value, 10)).toHaveLength(10);
});

/** What a webhook's signature may cover: rounding it, or moving a space, is another message. */
const HEADERS = `jsonb_build_object('X-Time', 1763737000000.123456, 'X-Price', 1.10, 'X-List', '[1, 2]'::jsonb, 'X-Id', 9223372036854775807,
  'X-Object', '{"b": 1.50, "a": [true, null]}'::jsonb, 'X-Flag', true, 'X-None', null, 'X-Text', 'a"b')`;
const SENT = [
  ["X-Id", "9223372036854775807"],
  ["X-Flag", "true"],
  ["X-List", "[1, 2]"],
  ["X-Text", 'a"b'],
  ["X-Time", "1763737000000.123456"],
  ["X-Price", "1.10"],
  ["X-Object", '{"a": [true, null], "b": 1.50}'],
];

test("header values that are no strings are sent in their own text, swept or streamed", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query(`select net.http_get($1, headers := ${HEADERS})`, [receiver.url("/swept")]);
  await using _daemon = await startInProcess(db.url);
  await db.query(`select net.http_get($1, headers := ${HEADERS})`, [receiver.url("/streamed")]);
  await emptied(db);
  expect(receiver.requests).toHaveLength(2);
  for (const { rawHeaders } of receiver.requests) {
    const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1]]] : []));
    expect(pairs.filter(([name]) => SENT.some(([sent]) => sent === name))).toEqual(SENT);
  }
});

test("P2: headers of any depth with any number are read, swept or streamed", async () => {
  await using db = await testDatabase();
  const streamed: Readonly<Record<string, unknown>>[] = [];
  await using stream = await startStream(db.url, { inserted: (row) => streamed.push(row) });
  const deep = `${"[".repeat(10_000)}1234567890123456.50${"]".repeat(10_000)}`;
  await db.query("select net.http_get('http://x/', headers := $1)", [`{"X-Deep": ${deep}}`]);
  await stream.waitFor(1);
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  const swept = await sweep(pool, sweepPlan({ rows: 10, perLane: 10 }), CONTEXT);
  for (const { request, defect } of [readRow(streamed[0] ?? {}, CONTEXT), ...swept.rows]) {
    expect([defect, request.headers]).toEqual([null, [["X-Deep", deep]]]);
  }
  expect(swept.rows).toHaveLength(1);
});
