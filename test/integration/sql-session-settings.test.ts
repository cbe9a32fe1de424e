import { readFile } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { dumpSchema } from "../../src/pg/schema-dump.ts";
import { callersSettings, type SettingValue } from "../support/session-settings.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  await db.query("create schema evil");
  await db.query(`create table public.items (id int, name text); create trigger hook after insert or update or delete on public.items for each row
    execute function supabase_functions.http_request('http://h/', 'POST', '{"A": "\\\\"}', '{"b": "c d"}', '10', 'raise')`);
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});

const HARD = "a b\\s'\"&=+/%\n\t~sS";
const JSON_TEXT = JSON.stringify({ [HARD]: HARD, list: [HARD, null, 1.5], nothing: null, number: 1e-7 });

/** Calls with their arguments as parameters, so that how literals are read plays no part. What is not ASCII is made by the server. */
const CALLS: readonly (readonly [text: string, ...values: unknown[]])[] = [
  ["select net.http_get($1)", "https://example.com/sales"],
  ["select net.http_get($1)", "HTTPS://USER:PASS@WWW.EXAMPLE.COM:8080/S?s=S#S"],
  ["select net.http_get($1, $2)", "HTTP://[::1]/S", JSON_TEXT],
  ["select net.http_get($1, $2, $3)", "https://s.example.com/?s#s", JSON_TEXT, JSON_TEXT],
  ["select net.http_get($1, jsonb_build_object(chr(8364) || chr(128512), chr(228)))", "https://example.com/"],
  ["select net.http_get($1)", "ftp://example.com/"],
  ["select net.http_get($1)", "/malformed"],
  ["select net.http_get($1)", "https://a b/"],
  ["select net.http_get($1)", "https://example.com/\ts"],
  ["select net.http_get(null)"],
  ["select net.http_get($1, '[]')", "https://example.com/"],
  ["select net.http_get($1, timeout_milliseconds := -1)", "https://example.com/"],
  [
    "select net.http_post($1, $2, $2, $3)",
    "https://example.com/",
    JSON_TEXT,
    '{"content-type": "application/json; s=S"}',
  ],
  ["select net.http_post($1, jsonb_build_object('a', chr(8364)))", "https://example.com/"],
  ["select net.http_post($1, headers := $2)", "https://example.com/", '{"Content-Type": "text/html"}'],
  ["select net.http_delete($1, body := $2)", "https://example.com/", JSON_TEXT],
  ["select net.http_put($1, $2)", "https://example.com/", JSON_TEXT],
  ["select net.http_patch($1, $2)", "https://example.com/", JSON_TEXT],
  ["select net.http_head($1, $2)", "https://example.com/", JSON_TEXT],
  ["select net.http_request('put', $1, $2::text, $3)", "https://example.com/", HARD, "text/x"],
  ["select net.http_request('PUT', $1, $2::bytea)", "https://example.com/", Buffer.from([0, 92, 39, 255])],
  ["select net.http_request('PUT', $1, $2::jsonb)", "https://example.com/", JSON_TEXT],
  [
    `select net.http_request('GET', $1, send_at := to_timestamp(4102444800), deduplication_key := $2, max_attempts := 3,
      retry_first_ms := 1, retry_max_ms := 2, max_redirects := 0, keep := 'status')`,
    "https://example.com/",
    HARD,
  ],
  ["select net.http_request('GET', $1, deduplication_key := $2) > 0", "https://example.com/", HARD],
  ["select net.http_request('GET', $1, delay := make_interval(hours => 1), send_at := now())", "https://example.com/"],
  ["select net.http_request('GET', $1, send_at := 'infinity')", "https://example.com/"],
  ["select net.http_request('SEND', $1)", "https://example.com/"],
  ["select net.http_request('GET', $1, keep := $2)", "https://example.com/", HARD],
  ["select net.form_urlencode($1)", JSON_TEXT],
  ["select net.form_urlencode(jsonb_build_object(chr(8364), array[chr(228), chr(128512)]))"],
  ["select net.form_urlencode('[]')"],
  ["select net._urlencode_string($1)", HARD],
  ["select net._encode_url_with_params_array($1, array['a=1', 's=S'])", "HTTPS://SSS.EXAMPLE.COM/S#s"],
  ["select (r).status::text, (r).message, (r).response from net.http_collect_response(-1) r"],
  ["select (r).status::text, (r).message, (r).response from net._http_collect_response(-1, false) r"],
  ["select (r).status::text, (r).message from net.http_collect_response(-2) r"],
  ["select (r).status::text, (r).message from net.http_collect_response(-3, false) r"],
  ["select net._await_response(-1), net._await_response(-3)"],
  ["select net.http_replay(-2)"],
  ["select net.http_replay(-3)"],
  ["select net.check_worker_is_up()"],
  ["select net.worker_restart()"],
  ["select net.wake()"],
  ["insert into public.items values (1, $1)", HARD],
  ["update public.items set name = chr(8364)"],
  ["delete from public.items"],
  ["insert into net.http_request_queue (method, url, timeout_milliseconds) values ('get', $1, 1)", "https://s/"],
  ["insert into net.http_request_queue (method, url, timeout_milliseconds) values ('send', $1, 1)", "https://s/"],
  ["insert into net.http_host_settings (host) values ($1)", "sss.example.com"],
  ["insert into net.http_host_settings (host) values ($1)", "a b"],
  ["insert into net.http_host_settings (host) values ($1)", "https://example.com"],
];

/** What the calls return and leave behind, in a session with these settings. */
async function outcome(settings: readonly SettingValue[]): Promise<readonly unknown[]> {
  await db.query(`truncate net.http_request_queue, net._http_response, net.http_dead_letter, net.http_host_settings, supabase_functions.hooks
    restart identity;
    insert into net._http_response (id, status_code, headers, content) values (-1, 200, '{"A": "b"}', 'answer');
    insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, status_code)
    values (-2, 'GET', 'http://dead/', 1, now(), 2, 500)`);
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  const results: unknown[] = [];
  try {
    for (const { name, value } of settings) await client.query("select set_config($1, $2, false)", [name, value]);
    for (const [text, ...values] of CALLS) {
      const result = await client.query({ text, values, rowMode: "array" }).catch((error: unknown) => error);
      if (result instanceof pg.DatabaseError)
        results.push([text, result.code, result.message.replaceAll('"', ""), result.detail, result.hint]);
      else results.push([text, (result as pg.QueryArrayResult).rows]);
    }
  } finally {
    await client.end();
  }
  const left = await db.query(
    `select id, method::text, url, headers::text, body, timeout_milliseconds, extract(epoch from next_attempt_at) as due,
      attempts, deduplication_key, options::text from net.http_request_queue order by id`,
  );
  return [...results, ...left, ...(await db.query("select host from net.http_host_settings"))];
}

/** What is other than `expected` in a session with these settings. */
async function differences(
  settings: readonly SettingValue[],
  expected: readonly unknown[],
): Promise<readonly unknown[]> {
  const found = await outcome(settings);
  return found.filter((one, index) => JSON.stringify(one) !== JSON.stringify(expected[index]));
}

/** Values of many settings, one of each at a time. */
function rounds(settings: readonly SettingValue[]): readonly (readonly SettingValue[])[] {
  const byName = Object.values(Object.groupBy(settings, ({ name }) => name)).map((values = []) => values);
  const most = Math.max(...byName.map((values) => values.length));
  return Array.from({ length: most }, (_, round) => byName.flatMap((values) => values.slice(round, round + 1)));
}

test("every function does the same under every value of every setting that a caller can change", async () => {
  const expected = await outcome([]);
  const failures = expected.filter((one) => Array.isArray(one) && /^(42|0A|XX)/.test(String(one[1])));
  expect(failures).toEqual([]);
  const settings = await callersSettings(db);
  expect(settings.length).toBeGreaterThan(40);
  for (const round of rounds(settings)) {
    if ((await differences(round, expected)).length === 0) continue;
    for (const setting of round)
      expect({ ...setting, other: await differences([setting], expected) }).toEqual({ ...setting, other: [] });
    expect(round).toBe("harmless one by one, and not together");
  }
}, 60_000);

test("migrate installs the same whatever a role or a database has set", async () => {
  const settings = await callersSettings(db);
  const expected = await readFile(new URL("../../sql/schema.snapshot.sql", import.meta.url), "utf8");
  for (const round of rounds(settings).slice(0, 3)) {
    await using other = await testDatabase({ migrated: false });
    for (const { name, value } of round) {
      await db.query(`alter database ${other.name} set ${name} = ${pg.escapeLiteral(value)}`);
    }
    await migrate(other.url, { webhooks: true });
    await db.query(`alter database ${other.name} reset all`);
    await using fresh = { ...other, [Symbol.asyncDispose]: async () => undefined };
    expect(expected.endsWith(await dumpSchema(fresh.pool, ["net", "supabase_functions"]))).toBe(true);
  }
}, 60_000);
