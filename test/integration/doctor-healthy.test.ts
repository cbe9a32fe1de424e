import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LocalPostgres } from "../../demo/embedded-postgres.ts";
import { CHECKS } from "../../src/doctor/checks.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { doctor } from "../support/doctor.ts";
import { codeBlocks, readDocument } from "../support/markdown.ts";
import { shell } from "../support/shell.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testServer } from "../support/server.ts";

/** As config/postgres.conf recommends. */
const SETTINGS = { wal_level: "logical", max_slot_wal_keep_size: "4GB" };
const PASSWORD = "secret of the daemon";

let server: LocalPostgres;
/** Of a role with the rights that docs/operations.md names, and no others. */
let url: string;

beforeAll(async () => {
  server = await testServer(SETTINGS);
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`create role pgnetd_daemon login replication password '${PASSWORD}'`);
  await client.query("create database shop");
  await client.query("grant create on database shop to pgnetd_daemon");
  await client.end();
  const own = new URL(server.url("shop"));
  own.username = "pgnetd_daemon";
  own.password = PASSWORD;
  url = own.href;
});

afterAll(() => server[Symbol.asyncDispose]());

test("a server that is ready for pgnetd gives no false alarm before anything is installed", async () => {
  const report = await doctor(url, "--pre", "--skip", "dns");
  expect(report.checks.filter(({ status }) => status !== "ok")).toEqual([]);
  expect(report.failure).toBeNull();
});

test("a healthy set-up gives no false alarm, and every check looks", async () => {
  await migrate(url);
  await using _daemon = await startInProcess(url);
  const report = await doctor(url, "--skip", "dns");
  expect(report.checks.filter(({ status }) => status !== "ok")).toEqual([]);
  expect(report.failure).toBeNull();
  expect(report.checks).toHaveLength(CHECKS.filter(({ id, stage }) => stage !== "before" && id !== "dns").length);
});

test("the commands in docs/doctor.md run", async () => {
  await migrate(url);
  const blocks = codeBlocks(await readDocument("docs/doctor.md")).filter(({ language }) => language === "sh");
  const printed: string[] = [];
  for (const { text } of blocks) printed.push(await shell(text, url));
  expect(printed).toHaveLength(2);
  expect(printed[0]).toMatch(/^PostgreSQL \d+, database shop, role pgnetd_daemon\n/);
  expect(JSON.parse(printed[1] ?? "")).toMatchObject({ ok: true, server: { provider: "plain", database: "shop" } });
});

test("no check reads the queue or the answers, and one of them the details of the latest thousand, however long they are", async () => {
  await migrate(url);
  const client = new pg.Client({ connectionString: server.url("shop") });
  await client.connect();
  try {
    interface Scans {
      readonly relname: string;
      readonly seq_scan: string;
      readonly idx_scan: string;
      readonly idx_tup_fetch: string;
    }
    const scans = async (): Promise<Scans[]> => {
      await client.query("select pg_stat_clear_snapshot()");
      const text = `select relname, seq_scan, idx_scan, idx_tup_fetch from pg_stat_user_tables where schemaname = 'net'
        and relname in ('http_request_queue', '_http_response', 'http_response_detail', 'http_dead_letter') order by 1`;
      return (await client.query<Scans>(text)).rows;
    };
    await client.query(
      "insert into net.http_response_detail (id, method, url, attempts, enqueued) select n, 'GET', 'http://a.example/', 1, now() from generate_series(1, 3000) n",
    );
    await client.query(
      "insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts) values (1, 'GET', '', 1, now(), 1)",
    );
    await client.query("select pg_stat_force_next_flush()").catch(() => undefined);
    const before = await scans();
    await doctor(url, "--skip", "dns");
    const isDetail = ({ relname }: Scans): boolean => relname === "http_response_detail";
    const was = before.find(isDetail);
    // What a session did is counted when it ends, and shown some time later.
    let after: readonly Scans[] = [];
    await eventually(async () => {
      after = await scans();
      return after.find(isDetail)?.idx_tup_fetch !== was?.idx_tup_fetch;
    });
    expect(after.filter((table) => !isDetail(table))).toEqual(before.filter((table) => !isDetail(table)));
    const is = after.find(isDetail);
    expect(is?.seq_scan).toBe(was?.seq_scan);
    expect(Number(is?.idx_tup_fetch) - Number(was?.idx_tup_fetch)).toBe(1_000);
  } finally {
    await client.end();
  }
});
