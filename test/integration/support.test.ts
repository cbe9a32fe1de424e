import { existsSync } from "node:fs";
import { connect } from "node:net";
import pg from "pg";
import { describe, expect, inject, test } from "vitest";
import { type LocalPostgres } from "../../demo/embedded-postgres.ts";
import { eventually } from "../support/eventually.ts";
import { startProxy } from "../support/proxy.ts";
import { testDatabase, testServer } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { startStandby } from "../support/standby.ts";

describe("a database per test", () => {
  test("decodes the log, and goes with its slots and open sessions", async () => {
    const name = await (async () => {
      await using db = await testDatabase({ migrated: false });
      await db.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`${db.name}_slot`]);
      const left = new pg.Client({ connectionString: db.url });
      left.on("error", () => undefined);
      await left.connect();
      expect(await db.query("show wal_level")).toEqual([{ wal_level: "logical" }]);
      return db.name;
    })();
    await using other = await testDatabase({ migrated: false });
    expect(await other.query("select from pg_database where datname = $1", [name])).toEqual([]);
    expect(await other.query("select from pg_replication_slots where database = $1", [name])).toEqual([]);
  });

  test("goes with what a test that failed has left: a lent client, and a prepared transaction, of which it tells", async () => {
    const db = await testDatabase({ migrated: false });
    const { name } = db;
    const lent = await db.pool.connect();
    await lent.query("begin; select pg_current_xact_id()");
    await db.query(`begin; select pg_current_xact_id(); prepare transaction '${name}'`);
    await expect(db[Symbol.asyncDispose]()).rejects.toThrow(`prepared transactions were left in ${name}: ${name}`);
    await using other = await testDatabase({ migrated: false });
    expect(await other.query("select from pg_prepared_xacts where gid = $1", [name])).toEqual([]);
    expect(await other.query("select from pg_stat_activity where datname = $1", [name])).toEqual([]);
  });

  test("is real PostgreSQL from the source that was asked for", () => {
    const wish = process.env["TEST_PG"] ?? "auto";
    expect(wish === "auto" ? ["given", "docker", "embedded"] : [wish]).toContain(inject("postgres").kind);
  });
});

describe("a server of its own", () => {
  test("survives a crash with its data, takes settings, leaves nothing", async () => {
    const folder = await (async () => {
      await using server = await testServer({ wal_sender_timeout: "3s" });
      const query = async (text: string): Promise<unknown[]> => {
        const client = new pg.Client({ connectionString: server.url() });
        await client.connect();
        try {
          return (await client.query<Record<string, unknown>>(text)).rows;
        } finally {
          await client.end();
        }
      };
      await query("create table kept as select 1 as one");
      await server.kill();
      await expect(query("select 1")).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
      await server.start({ work_mem: "8MB" });
      expect(await query("select one, current_setting('work_mem') as mem from kept")).toEqual([{ one: 1, mem: "8MB" }]);
      expect(await query("show wal_sender_timeout")).toEqual([{ wal_sender_timeout: "3s" }]);
      return server.dataFolder;
    })();
    expect(existsSync(folder)).toBe(false);
  });
});

describe("a standby", () => {
  test("follows its server and can be promoted", async () => {
    await using primary = await testServer();
    const ask = async (server: LocalPostgres, text: string): Promise<unknown> => {
      const client = new pg.Client({ connectionString: server.url() });
      await client.connect();
      try {
        return Object.values((await client.query<Record<string, unknown>>(text)).rows[0] ?? {})[0];
      } finally {
        await client.end();
      }
    };
    await ask(primary, "create table before_copy as select 1 as one");
    await using standby = await startStandby(primary);
    await ask(primary, "create table after_copy as select 2 as two");
    expect(await eventually(async () => ask(standby, "select one + two from before_copy, after_copy"))).toBe(3);
    expect(await ask(standby, "select pg_is_in_recovery()")).toBe(true);
    await primary.kill();
    expect(await ask(standby, "select pg_promote()")).toBe(true);
    expect(await ask(standby, "select pg_is_in_recovery()")).toBe(false);
  });
});

describe("the receiver", () => {
  test.each([
    ["reset", { kind: "reset" }, "fetch failed"],
    ["close", { kind: "close" }, "fetch failed"],
    ["lose", { kind: "lose" }, "terminated"],
  ] as const)("can %s after it has the request", async (_name, behaviour, message) => {
    await using receiver = await startReceiver();
    receiver.behave(behaviour);
    await expect(
      fetch(receiver.url("/x"), { method: "POST", body: "whole" }).then((one) => one.text()),
    ).rejects.toThrow(message);
    expect(receiver.requests.map((one) => [one.method, one.path, one.body.toString()])).toEqual([
      ["POST", "/x", "whole"],
    ]);
  });
});

describe("the proxy", () => {
  test("holds everything back while paused, an end included, and passes it on afterwards", async () => {
    await using receiver = await startReceiver();
    await using proxy = await startProxy(receiver.url());
    const answer = await fetch(proxy.through(receiver.url("/first")));
    expect(await answer.text()).toBe("ok");

    proxy.pause();
    const client = connect(proxy.port, "127.0.0.1");
    const second = fetch(proxy.through(receiver.url("/second")), { signal: AbortSignal.timeout(300) });
    await expect(second).rejects.toThrow("timeout");
    client.destroy();
    expect(receiver.requests.map((one) => one.path)).toEqual(["/first"]);

    const third = fetch(proxy.through(receiver.url("/third")));
    proxy.resume();
    expect((await third).status).toBe(200);
  });
});
