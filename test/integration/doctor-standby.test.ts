import pg from "pg";
import { expect, test } from "vitest";
import type { LocalPostgres } from "../../demo/embedded-postgres.ts";
import { LEADER_APPLICATION } from "../../src/leader/holder.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { runCommandLine } from "../support/command.ts";
import { doctor } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testServer } from "../support/server.ts";
import { startStandby } from "../support/standby.ts";

async function run(server: LocalPostgres, ...statements: readonly string[]): Promise<pg.QueryResult["rows"]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    let rows: pg.QueryResult["rows"] = [];
    for (const text of statements) ({ rows } = await client.query(text));
    return rows;
  } finally {
    await client.end();
  }
}

test("primary fails on a standby server, and synchronous-standby tells those that answer from those that do not", async () => {
  await using primary = await testServer({ max_slot_wal_keep_size: "4GB" });
  await using standby = await startStandby(primary);
  await run(primary, "create role watcher login password 'watcher'");
  const watcher = new URL(primary.url());
  watcher.username = watcher.password = "watcher";
  const look = async (url: string, id: string): Promise<unknown> => (await doctor(url, "--only", id)).of(id);

  expect(await look(standby.url(), "primary")).toMatchObject({
    status: "fail",
    found: "this is a standby server: results cannot be written",
    fix: "point DATABASE_URL to the primary",
  });
  // Nothing else is said of the wrong server, such as that its max_slot_wal_keep_size is -1.
  const all = await doctor(standby.url(), "--skip", "host,egress,daemon");
  expect(all.ids("fail")).toEqual(["primary"]);
  expect(all.ids("warn")).toEqual([]);
  expect(all.of("schema-version")).toMatchObject({ found: "not looked at, since this is a standby server" });
  expect((await runCommandLine(standby.url(), "status")).failure).toMatchObject({
    exitCode: 69,
    message: "this is a standby server: results cannot be written",
    hint: "Point DATABASE_URL to the primary.",
  });
  expect(await look(primary.url(), "primary")).toMatchObject({ status: "ok" });

  await run(primary, "alter system set synchronous_standby_names = 'walreceiver'", "select pg_reload_conf()");
  await eventually(async () => {
    expect(await look(primary.url(), "synchronous-standby")).toMatchObject({ status: "ok" });
    return true;
  });
  expect(await look(watcher.href, "synchronous-standby")).toMatchObject({
    status: "skip",
    found: "who answers is shown to members of pg_read_all_stats alone",
  });
});

test("synchronous-standby warns where * makes the daemon's own session a standby server", async () => {
  await using server = await testServer();
  await migrate(server.url());
  await using _daemon = await startInProcess(server.url());
  await run(server, "alter system set synchronous_standby_names = '*'", "select pg_reload_conf()");
  await eventually(async () => {
    expect((await doctor(server.url(), "--only", "synchronous-standby")).of("synchronous-standby")).toMatchObject({
      status: "warn",
      fix: expect.stringMatching(/^name the standby servers in synchronous_standby_names, in place of \*/) as unknown,
    });
    return true;
  });
  await run(server, "alter system reset synchronous_standby_names", "select pg_reload_conf()");
});

test("slot warns while it is about to be invalidated, and when it was, and names what is left", async () => {
  await using server = await testServer({ max_slot_wal_keep_size: "64MB", min_wal_size: "32MB", max_wal_size: "32MB" });
  await run(server, "select pg_create_logical_replication_slot('pgnetd_postgres', 'pgoutput')");
  const grow = async (): Promise<unknown> =>
    run(
      server,
      "select pg_logical_emit_message(false, 'filler', repeat('x', 1000))",
      "select pg_switch_wal()",
      "checkpoint",
    );
  const until = async (status: RegExp): Promise<unknown> =>
    eventually(async () => {
      const slot = (await doctor(server.url(), "--only", "slot")).of("slot");
      if (status.test(slot.found)) return slot;
      await grow();
      return false;
    }, 20_000);
  expect(await until(/about to be invalidated/)).toMatchObject({
    status: "warn",
    found: expect.stringMatching(/: \d+ MiB of WAL are held for it(, and \d+ MiB are left)?$/) as unknown,
    fix: "start a daemon: pgnetd run",
  });
  const leader = new pg.Client({ connectionString: server.url(), application_name: LEADER_APPLICATION });
  leader.on("error", () => undefined);
  await leader.connect();
  await leader.query("select pg_advisory_lock(1885826676, 0)");
  expect(await until(/about to be invalidated/)).toMatchObject({
    fix: "alter system set max_slot_wal_keep_size = '1GB'; select pg_reload_conf();",
  });
  await leader.end();
  expect(await until(/has invalidated/)).toMatchObject({ status: "warn", fix: "start a daemon: pgnetd run" });
}, 60_000);

test("walsenders-free counts no session of the doctor itself, and warns where the daemon has the only one", async () => {
  await using server = await testServer({ max_wal_senders: "1" });
  await migrate(server.url());
  const look = async (): Promise<unknown> =>
    (await doctor(server.url(), "--only", "replication-right,walsenders-free")).checks;
  expect(await look()).toMatchObject([
    { id: "replication-right", status: "ok" },
    { id: "walsenders-free", status: "ok", found: "0 of 1 walsenders are in use" },
  ]);
  await using _daemon = await startInProcess(server.url());
  expect(await look()).toMatchObject([
    { id: "walsenders-free", status: "warn", found: expect.stringContaining("none for a standby daemon") as unknown },
    { id: "replication-right", status: "skip" },
  ]);
});
