// What a call costs its caller: µs per call in one transaction, medians of interleaved rounds, and how many times a plain insert
// into a table with the same columns, defaults and indexes. `node bench/enqueue.ts [rounds] [calls]`, TEST_PG_VERSION=14 to 18.
import pg from "pg";
import { startPostgres } from "../demo/embedded-postgres.ts";
import { migrate } from "../src/pg/migrate.ts";
import { binariesOf, wantedMajor } from "../test/support/postgres-versions.ts";

const rounds = Number(process.argv[2] ?? 9);
const calls = Number(process.argv[3] ?? 20_000);

const URL_ = "'https://hooks.example.com/orders'";
const BODY = `'{"id": 4711, "name": "some name", "status": "paid"}'`;
const JSON_TYPE = `'{"Content-Type": "application/json"}'`;

/** The same insert in the same language, without any of our checks: what PostgreSQL itself costs. */
const PLAIN = `
create schema bench;
create table bench.same (like net.http_request_queue including all);
create table bench.heap (like net.http_request_queue including defaults);
create function bench.same(url text, body jsonb, headers jsonb, timeout integer) returns bigint language plpgsql as $$
declare made bigint;
begin
  insert into bench.same (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, convert_to(body::text, 'UTF8'), timeout) returning id into made;
  return made;
end $$;
create function bench.heap(url text, body jsonb, headers jsonb, timeout integer) returns bigint language plpgsql as $$
declare made bigint;
begin
  insert into bench.heap (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, convert_to(body::text, 'UTF8'), timeout) returning id into made;
  return made;
end $$`;

const CASES: Readonly<Record<string, string>> = {
  "plain insert, same indexes": `bench.same(${URL_}, ${BODY}, ${JSON_TYPE}, 5000)`,
  "plain insert, no index": `bench.heap(${URL_}, ${BODY}, ${JSON_TYPE}, 5000)`,
  http_get: `net.http_get(${URL_})`,
  "http_get, a header": `net.http_get(${URL_}, headers := '{"Authorization": "Bearer abcdefgh"}')`,
  "http_get, a parameter": `net.http_get(${URL_}, '{"page": "1"}')`,
  "http_get, a parameter to encode": `net.http_get(${URL_}, '{"q": "some text"}')`,
  http_post: `net.http_post(${URL_}, ${BODY})`,
  "http_post, headers without a type": `net.http_post(${URL_}, ${BODY}, headers := '{"Authorization": "Bearer abcdefgh"}')`,
  "http_post, content-type in lower case": `net.http_post(${URL_}, ${BODY}, headers := '{"content-type": "application/json"}')`,
  http_delete: `net.http_delete(${URL_})`,
  http_put: `net.http_put(${URL_}, ${BODY})`,
  "http_request, JSON": `net.http_request('PUT', ${URL_}, ${BODY}::jsonb)`,
  "http_request, a deduplication key": `net.http_request('PUT', ${URL_}, ${BODY}::jsonb, deduplication_key := 'key ' || n)`,
};

await using server = await startPostgres({
  binaries: await binariesOf(wantedMajor()),
  settings: { shared_buffers: "256MB", max_wal_size: "4GB", autovacuum: "off" },
});
await migrate(server.url());
const client = new pg.Client({ connectionString: server.url() });
await client.connect();
await client.query(PLAIN);

async function measure(call: string): Promise<number> {
  await client.query("truncate net.http_request_queue, bench.same, bench.heap");
  // The clock of the server, in one transaction: neither the network nor the commit is part of it.
  const { rows } = await client.query<{ us: number }>(
    `with calls as materialized (select count(${call}), clock_timestamp() as ended from generate_series(1, ${calls}) as n)
    select extract(epoch from ended - statement_timestamp())::float8 * 1e6 / ${calls} as us from calls`,
  );
  return rows[0]?.us ?? Number.NaN;
}

const times = new Map(Object.keys(CASES).map((name) => [name, [] as number[]]));
for (let round = -1; round < rounds; round += 1) {
  for (const [name, call] of Object.entries(CASES)) {
    const us = await measure(call);
    if (round >= 0) times.get(name)?.push(us);
  }
}
const { rows: version } = await client.query<{ server_version: string }>("show server_version");
await client.end();

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const base = median(times.get("plain insert, same indexes") ?? []);
console.log(`PostgreSQL ${version[0]?.server_version}, ${calls} calls in one transaction, medians of ${rounds} rounds`);
console.table(
  Object.fromEntries(
    [...times].map(([name, values]) => [
      name,
      {
        "µs per call": Number(median(values).toFixed(1)),
        "× plain insert": Number((median(values) / base).toFixed(2)),
      },
    ]),
  ),
);
