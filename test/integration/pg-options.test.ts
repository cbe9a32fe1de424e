import pg from "pg";
import { expect, test } from "vitest";
import { connect } from "../../src/pg/connection.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION, MIGRATIONS } from "../../src/pg/migrations.ts";
import { connectionConfig, openPool } from "../../src/pg/pool.ts";
import { endWithPeer } from "../../src/wal/wire.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("options in DATABASE_URL are kept, and take nothing away from pgnetd's own", async () => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set datestyle = 'SQL, DMY'`);
  await db.query(`alter database ${db.name} set timezone = 'Asia/Kolkata'`);
  const url = new URL(db.url);
  url.searchParams.set("options", "-c geqo=off -c datestyle=SQL");
  await using pool = openPool({ url: url.href, size: 1, statementTimeoutMs: 4_321 });
  const names = ["geqo", "DateStyle", "statement_timeout", "enable_seqscan"];
  const { rows } = await pool.query({
    text: "select name, setting from pg_settings where name = any ($1) order by name",
    values: [names],
  });
  expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toMatchObject({
    geqo: "off",
    DateStyle: expect.stringContaining("ISO") as unknown,
    statement_timeout: "4321",
    enable_seqscan: "off",
  });

  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(url.href);
  await enqueue(db, receiver.url("/"), 20);
  await emptied(db);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([20, 20]);
});

test("a database whose name has to be percent-encoded is reached", async () => {
  await using db = await testDatabase({ migrated: false });
  const name = `${db.name} "a@b;c;d:e&f=g+h$i,j%2F'é`;
  await db.query(`create database ${pg.escapeIdentifier(name)}`);
  try {
    const url = new URL(db.url);
    url.pathname = `/${encodeURIComponent(name)}`;
    const client = await connect(url.href, "a command");
    const { rows } = await client.query("select current_database() as name");
    await client.end();
    expect(rows).toEqual([{ name }]);
  } finally {
    await db.query(`drop database ${pg.escapeIdentifier(name)} with (force)`);
  }
});

/** Settings in which statements here would mean something else, or look names up elsewhere. */
const ADVERSE = {
  search_path: "public",
  standard_conforming_strings: "off",
  array_nulls: "off",
  transform_null_equals: "on",
  quote_all_identifiers: "on",
  datestyle: "SQL, DMY",
  bytea_output: "escape",
  extra_float_digits: "-15",
  intervalstyle: "iso_8601",
  idle_session_timeout: "3600000",
  idle_in_transaction_session_timeout: "3600000",
};
const OWN = {
  search_path: "pg_catalog,pg_temp",
  standard_conforming_strings: "on",
  array_nulls: "on",
  transform_null_equals: "off",
  quote_all_identifiers: "off",
  bytea_output: "hex",
  extra_float_digits: "1",
  intervalstyle: "postgres",
  idle_session_timeout: "0",
  idle_in_transaction_session_timeout: "0",
};

test("every session begins with the pinned search_path and our settings, whatever database, role and url say", async () => {
  await using db = await testDatabase();
  const url = new URL(db.url);
  for (const [name, value] of Object.entries(ADVERSE)) {
    await db.query(`alter database ${db.name} set ${name} = ${value}`);
    await db.query(`alter role "${url.username}" in database ${db.name} set ${name} = ${value}`);
  }
  const options = Object.entries(ADVERSE).map(([name, value]) => `-c ${name}=${value.replace(" ", "")}`);
  url.searchParams.set("options", options.join(" "));
  const read = async (query: (text: string) => Promise<{ rows: unknown[] }>): Promise<unknown> => {
    const shown: Record<string, unknown> = {};
    for (const name of [...Object.keys(OWN), "datestyle"]) {
      const [row] = (await query(`show ${name}`)).rows as Record<string, unknown>[];
      shown[name] = Object.values(row ?? {})[0];
    }
    return shown;
  };
  const own = { ...OWN, datestyle: expect.stringContaining("ISO") as unknown };

  await using pool = openPool({ url: url.href, size: 1, statementTimeoutMs: 5_000 });
  expect(await read((text) => pool.query({ text }))).toEqual(own);
  await using clients = new AsyncDisposableStack();
  const command = await connect(url.href, "a command");
  clients.defer(() => command.end());
  expect(await read((text) => command.query(text))).toEqual(own);
  for (const replication of [undefined, "database"]) {
    const config = { ...connectionConfig(url.href, "the daemon"), replication };
    const client = new pg.Client(config);
    await client.connect();
    clients.defer(() => client.end());
    expect(await read((text) => client.query(text))).toEqual(own);
  }
});

test("transaction_timeout, which PostgreSQL has from 17 on, ends no transaction of pgnetd", async ({ skip }) => {
  await using db = await testDatabase({ migrated: false });
  const [known] = await db.query("select from pg_settings where name = 'transaction_timeout'");
  skip(known === undefined, "this PostgreSQL has no transaction_timeout");
  await migrate(db.url, { to: MIGRATIONS.indexOf("0011_lane_indexes.sql") });
  // So many that the indexes are made outside of a transaction, and for longer than the timeout.
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://h' || g % 100 || '.example/', 1000 from generate_series(1, 100000) g`,
  );
  // No parallel workers: each has the timeout of the database until it has started and taken its leader's settings.
  await db.query(`alter database ${db.name} set max_parallel_workers = 0`);
  await db.query(`alter database ${db.name} set transaction_timeout = '50ms'`);
  expect(await migrate(db.url)).toMatchObject({ to: LATEST_VERSION });

  const shown = "select pg_catalog.current_setting('transaction_timeout') as shown";
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
  expect((await pool.query({ text: shown })).rows).toEqual([{ shown: "0" }]);
  for (const replication of [undefined, "database"]) {
    const config = { ...connectionConfig(db.url, "the daemon"), replication };
    const client = new pg.Client(config);
    await client.connect();
    await endWithPeer(client, 4_000);
    expect((await client.query(shown)).rows).toEqual([{ shown: "0" }]);
    await client.end();
  }
}, 30_000);
