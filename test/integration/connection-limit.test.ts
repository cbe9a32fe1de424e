import { afterEach, expect, test, vi } from "vitest";
import { connect } from "../../src/pg/connection.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { openPool } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** A role that may have one connection, as its url. */
interface LimitedRole extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
}

async function limitedRole(db: TestDatabase): Promise<LimitedRole> {
  const name = `${db.name}_limited`;
  await db.query(`create role ${name} login replication password 'x' connection limit 1`);
  await db.query(`grant create on database ${db.name} to ${name}`);
  const url = new URL(db.url);
  url.username = name;
  url.password = "x";
  return {
    name,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await db.query(`drop owned by ${name} cascade; drop role ${name}`);
    },
  };
}

const SLEEP = "select pg_catalog.pg_backend_pid() as pid, pg_catalog.pg_sleep(0.1)";

test("statements wait for the connections that there are where the server has no further one, and use more a minute later", async () => {
  await using db = await testDatabase({ migrated: false });
  await using role = await limitedRole(db);
  vi.useFakeTimers({ toFake: ["performance"] });
  const told: string[] = [];
  const fewer = { failed: () => void told.push("fewer"), succeeded: () => void told.push("more") };
  await using pool = openPool({ url: role.url, size: 3, statementTimeoutMs: 60_000, fewer });
  const sessions = async (): Promise<number> => {
    const all = await Promise.all(Array.from({ length: 6 }, () => pool.query<{ pid: number }>({ text: SLEEP })));
    return new Set(all.map(({ rows }) => rows[0]?.pid)).size;
  };
  expect(await sessions()).toBe(1);
  expect(new Set(told)).toEqual(new Set(["fewer"]));
  await db.query(`alter role ${role.name} connection limit 3`);
  expect(await sessions()).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(await sessions()).toBe(3);
  expect(told.at(-1)).toBe("more");
  await db.query(`alter role ${role.name} connection limit 0`);
  pool.reconnect();
  const refused = await Promise.allSettled([1, 2, 3].map(() => pool.query({ text: "select 1" })));
  expect(refused.map(({ status }) => status)).not.toContain("fulfilled");
  expect(told.at(-1)).toBe("more");
  await expect(connect(role.url, "status")).rejects.toMatchObject({
    code: "PG_UNREACHABLE",
    hint: expect.stringContaining("the connection limit of the role") as unknown,
  });
});

test("under a connection limit below what it would use the daemon writes all results by the connections that it has, and says once what to raise", async () => {
  await using db = await testDatabase({ migrated: false });
  await using receiver = await startReceiver();
  await using role = await limitedRole(db);
  await db.query(`alter role ${role.name} connection limit 10`);
  await migrate(role.url);
  await db.query(`create function public.wait() returns trigger language plpgsql as 'begin perform pg_catalog.pg_sleep(0.05); return null; end';
    create trigger wait after insert on net._http_response execute function public.wait()`);
  {
    await using daemon = await startInProcess(role.url, { PGNETD_POOL_SIZE: "8" });
    await db.query(`alter role ${role.name} connection limit 1`);
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and backend_type = 'client backend'
        order by backend_start offset 1`,
      [role.name],
    );
    for (let round = 1; round <= 50; round++) {
      await db.query("select net.http_get($1) from generate_series(1, 10)", [receiver.url("/")]);
      await receiver.waitFor(10 * round);
    }
    await eventually(async () => (await db.query("select from net.http_request_queue limit 1")).length === 0);
    const said = daemon.lines.filter(({ code }) => code === "53300");
    expect(said).toMatchObject([
      {
        message: "the server has no further connection: statements wait for those there are",
        hint: expect.stringContaining("the connection limit of the role") as unknown,
      },
    ]);
  }
});
