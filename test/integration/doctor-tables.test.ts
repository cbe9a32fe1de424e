import pg from "pg";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import type { Result } from "../../src/doctor/check.ts";
import { diagnose, type DoctorOptions } from "../../src/doctor/run.ts";
import { selectChecks } from "../../src/doctor/select.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { doctor, type FoundByDoctor } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase } from "../support/postgres.ts";

/** What one check says, with another clock or another patience. */
async function look(url: string, id: string, options: Partial<DoctorOptions>): Promise<Result | undefined> {
  const env = { DATABASE_URL: url };
  const checks = selectChecks({ only: [id], skip: [], before: false });
  const { findings } = await diagnose({ config: loadConfig({ env }), checks, env, ...options });
  return findings[0]?.result;
}

test("autovacuum warns of a table for which it is off, and the remedy switches it on", async () => {
  await using db = await testDatabase();
  await db.query("alter table net.http_request_queue set (autovacuum_enabled = false)");
  const { status, found, fix = "" } = (await doctor(db.url, "--only", "autovacuum")).of("autovacuum");
  expect({ status, found }).toEqual({
    status: "warn",
    found: "autovacuum is switched off for net.http_request_queue",
  });
  await db.query(fix);
  expect((await doctor(db.url, "--only", "autovacuum")).of("autovacuum").status).toBe("ok");
});

test.each([
  ["grant all on all tables in schema net to $role", "REFERENCES, TRIGGER on net._http_response, .*net.pgnetd_parts"],
  ["grant trigger on net._http_response to $role with grant option", "TRIGGER on net._http_response"],
  ["grant references (id) on net.http_request_queue to $role", "REFERENCES on net.http_request_queue"],
  ["grant trigger on supabase_functions.hooks to $role", "TRIGGER on supabase_functions.hooks"],
])(
  "code-rights warns of a role that can have its code run by a table, after %s, until it is revoked",
  async (sql, found) => {
    await using db = await testDatabase();
    await migrate(db.url, { webhooks: true });
    const check = async (): Promise<FoundByDoctor> => (await doctor(db.url, "--only", "code-rights")).of("code-rights");
    expect(await check()).toMatchObject({ status: "ok" });
    const role = `coder_${db.name}`;
    await db.query(`create role ${role}`);
    try {
      await db.query(sql.replace("$role", role));
      const warned = await check();
      expect(warned).toMatchObject({
        status: "warn",
        found: expect.stringMatching(`^role ${role} has ${found}, with which it can run code`) as unknown,
      });
      await db.query(warned.fix ?? "");
      expect(await check()).toMatchObject({ status: "ok" });
      await db.query("grant trigger on net.http_request_queue to public");
      expect(await check()).toMatchObject({
        fix: "revoke trigger on table net.http_request_queue from public cascade;",
      });
    } finally {
      await db.query(`drop owned by ${role}; drop role ${role}`);
    }
  },
);

test("dead-rows warns of a table that is mostly dead rows, until it is vacuumed", async () => {
  await using db = await testDatabase();
  await db.query("alter table net.http_lane_activity set (autovacuum_enabled = false)");
  await db.query(`insert into net.http_lane_activity (lane, host, queued, in_flight, is_behind, is_paused)
    select n, '', 0, 0, false, false from generate_series(1, 510000) n`);
  await db.query("delete from net.http_lane_activity");
  const warned = await eventually(async () => {
    const now = (await doctor(db.url, "--only", "dead-rows")).of("dead-rows");
    return now.status === "warn" && now;
  }, 20_000);
  expect(warned.found).toMatch(/^net\.http_lane_activity has 510000 dead rows and is \d+ MB$/);
  await db.query("vacuum net.http_lane_activity");
  await eventually(async () => (await doctor(db.url, "--only", "dead-rows")).of("dead-rows").status === "ok");
}, 60_000);

test("old-transactions warns of sessions and prepared transactions that are open for long, and the remedies end them", async () => {
  await using db = await testDatabase();
  const session = await db.pool.connect();
  await session.query("set application_name = 'a long report'; begin; select pg_current_xact_id()");
  const preparer = await db.pool.connect();
  await preparer.query(`begin; select pg_current_xact_id(); prepare transaction '${db.name}'`);
  preparer.release();
  session.on("error", () => undefined);
  // Others on the same server may have older ones, and the oldest five are told.
  await eventually(async () => {
    expect(await look(db.url, "old-transactions", { oldTransactionSeconds: 0 })).toMatchObject({
      status: "warn",
      found: expect.stringMatching(/process \d+ \(role \S+, a long report\), for \d+ s/) as unknown,
      fix: expect.stringContaining(`rollback prepared '${db.name}';`) as unknown,
    });
    return true;
  });
  await db.query(`rollback prepared '${db.name}'`);
  session.release(true);
  expect(await look(db.url, "old-transactions", { oldTransactionSeconds: 3600 })).toMatchObject({ status: "ok" });
});

test("old-transactions warns of a session that only reads, as a backup does: vacuum waits for what it sees", async () => {
  await using db = await testDatabase();
  const reader = await db.pool.connect();
  try {
    await reader.query("set application_name = 'a long backup'; begin isolation level repeatable read; select");
    const found = await eventually(async () => {
      const now = await look(db.url, "old-transactions", { oldTransactionSeconds: 0 });
      return now?.found.includes("a long backup") === true && now;
    });
    expect(found.status).toBe("warn");
  } finally {
    reader.release(true);
  }
});

test.each([
  [60_000, "behind"],
  [-60_000, "ahead of"],
])("clock warns where this machine's clock is off by %d ms: the server's is %s it", async (byMs, how) => {
  await using db = await testDatabase();
  expect(await look(db.url, "clock", { now: () => Date.now() + byMs })).toMatchObject({
    status: "warn",
    found: expect.stringMatching(new RegExp(`^the server's clock is (59|60)\\.\\d s ${how} this machine's`)) as unknown,
  });
  expect(await look(db.url, "clock", {})).toMatchObject({ status: "ok" });
});

test("primary fails where transactions are read-only by a setting, and the remedy mends it", async () => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set default_transaction_read_only = on`);
  const { fix = "", ...rest } = (await doctor(db.url, "--only", "primary")).of("primary");
  expect(rest).toMatchObject({ status: "fail", found: "transactions are read-only: results cannot be written" });
  // Literally, in a session that has the setting, too.
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  try {
    await client.query(fix);
  } finally {
    await client.end();
  }
  expect((await doctor(db.url, "--only", "primary")).of("primary")).toMatchObject({ status: "ok" });
});
