import { describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { dumpSchema } from "../../src/pg/schema-dump.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

const DROP = "drop schema if exists net cascade";
const PUBLISHED = "select pubname, schemaname, tablename from pg_publication_tables order by pubname, tablename";

describe("migrate", () => {
  test("reinstalls all after drop schema net cascade, its publications included", async () => {
    await using db = await testDatabase();
    const before = await dumpSchema(db.pool, ["net"]);
    await db.query(DROP);
    expect(await migrate(db.url)).toMatchObject({ from: 0, to: LATEST_VERSION });
    expect(await dumpSchema(db.pool, ["net"])).toBe(before);
  });

  test("makes publications again that are missing or empty, and leaves one that somebody widened", async () => {
    await using db = await testDatabase();
    const before = await db.query(PUBLISHED);
    await db.query(
      "drop publication pgnetd_outbox; alter publication pgnetd_settings drop table net.http_host_settings",
    );
    await migrate(db.url);
    expect(await db.query(PUBLISHED)).toEqual(before);
    await db.query("alter publication pgnetd_settings add table net._http_response");
    await migrate(db.url);
    expect(await db.query(PUBLISHED)).toHaveLength(before.length + 1);
  });

  test("drops no publication of that name that publishes something of others", async () => {
    await using db = await testDatabase({ migrated: false });
    await db.query("create table mine (id int primary key); create publication pgnetd_outbox for table mine");
    await expect(migrate(db.url)).rejects.toMatchObject({ message: expect.stringMatching(/pgnetd_outbox/) as unknown });
    expect(await db.query(PUBLISHED)).toEqual([{ pubname: "pgnetd_outbox", schemaname: "public", tablename: "mine" }]);
  });
});

test("the owner of a database cannot drop schema net where it belongs to the daemon's own role", async () => {
  await using db = await testDatabase();
  const [daemon, app] = [`${db.name}_daemon`, `${db.name}_app`];
  await db.query(`create role ${daemon}; create role ${app}; alter schema net owner to ${daemon};
    alter database ${db.name} owner to ${app}`);
  try {
    await expect(db.query(`set role ${app}; ${DROP}`)).rejects.toMatchObject({ code: "42501" });
  } finally {
    await db.query(`reset role; alter database ${db.name} owner to current_user; alter schema net owner to current_user;
      drop role ${daemon}, ${app}`);
  }
});

async function detail(daemon: Daemon): Promise<string> {
  return ((await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly detail: string }).detail;
}

describe("a daemon whose schema is dropped", () => {
  test("says what is missing, and goes on after migrate without a restart of the process", async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl: db.url, env: { PGNETD_GRACE_MS: "1000" } });
    await daemon.live();
    await db.query("select net.http_post($1)", [receiver.url("/before")]);
    await receiver.waitFor(1);
    await eventually(async () => (await db.query("select from net.http_request_queue")).length === 0);
    const { pid } = daemon;
    await db.query(DROP);
    // What an idle daemon looks at next: settings, answers, or the publications, within a minute.
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name like 'pgnetd%leader'`,
    );
    await eventually(async () => (await detail(daemon)).includes(`there is no schema net in database ${db.name}`));
    await migrate(db.url);
    await db.query("select net.http_post($1)", [receiver.url("/after")]);
    await receiver.waitFor(2);
    await eventually(async () => (await db.query("select from net._http_response")).length === 1);
    expect(daemon.pid).toBe(pid);
    expect(daemon.events()).toContainEqual(
      expect.objectContaining({ level: "warn", msg: "schema net was dropped or recreated: the daemon starts over" }),
    );
  });

  test("sends the requests of a recreated schema as new ones, though their ids start over", async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl: db.url, env: { PGNETD_GRACE_MS: "1000" } });
    await daemon.live();
    await db.query("select net.http_post($1)", [receiver.url("/before")]);
    await receiver.waitFor(1);
    await db.query(DROP);
    await migrate(db.url);
    await db.query("select net.http_post($1)", [receiver.url("/after")]);
    await receiver.waitFor(2);
    const keys = receiver.requests.map(({ headers }) => String(headers["idempotency-key"]));
    expect(keys.map((key) => key.split("-").at(-1))).toEqual(["1", "1"]);
    expect(new Set(keys).size).toBe(2);
    const [installation] = await db.query<{ id: string }>("select id::text from net.pgnetd_installation");
    expect(keys[1]).toBe(`${installation?.id}-1`);
  });

  test.runIf(SLOT_PLUGIN === "pgoutput")(
    "is not disturbed by what vacuum and new indexes do to the outbox",
    async () => {
      await using db = await testDatabase();
      await using receiver = await startReceiver();
      await using daemon = await startDaemon({ databaseUrl: db.url });
      await daemon.live();
      for (const statement of [
        "vacuum full net.http_request_queue",
        "analyze net.http_request_queue",
        "vacuum net.http_request_queue",
      ]) {
        await db.query("select net.http_post($1)", [receiver.url("/")]);
        await db.query(statement);
      }
      await db.query("select net.http_post($1)", [receiver.url("/")]);
      await receiver.waitFor(4);
      await eventually(async () => (await db.query("select from net.http_request_queue")).length === 0);
      expect(daemon.log()).not.toContain("recreated");
    },
  );
});
