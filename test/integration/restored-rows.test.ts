import { expect, test } from "vitest";
import { adopt, type Adoption } from "../../src/ops/adopt.ts";
import { connect } from "../../src/pg/connection.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** An installation of its own, as those of two databases are that were not copied. */
async function installation(): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  await migrate(db.url);
  return db;
}

/** The requests that wait in `production` come to be in `staging`, too, with ids that are free there: so much higher. */
async function restore(production: TestDatabase, staging: TestDatabase, higher = 1_000): Promise<void> {
  const [dump] = await production.query<{ rows: unknown }>(
    "select json_agg(to_jsonb(q) || jsonb_build_object('id', id + $1::int)) as rows from net.http_request_queue q",
    [higher],
  );
  await staging.query(
    "insert into net.http_request_queue select * from json_populate_recordset(null::net.http_request_queue, $1)",
    [JSON.stringify(dump?.rows)],
  );
}

async function productionWithRequests(receiver: Receiver): Promise<TestDatabase> {
  const production = await installation();
  await production.query("select net.http_post($1 || n, '{}') from generate_series(1, 3) n", [
    receiver.url("/restored-"),
  ]);
  await production.query("select net.http_request('GET', $1, delay := '1 ms')", [receiver.url("/restored-delayed")]);
  return production;
}

const DEAD = "select url, attempts, error_code, error_msg from net.http_dead_letter order by id";
const WAITING = "select count(*)::int as n from net.http_request_queue";

async function nothingWaits(db: TestDatabase): Promise<void> {
  await eventually(async () => (await db.query(WAITING))[0]?.["n"] === 0);
}

test("P3: requests that a restore adds to an installation, streamed or swept, are dead letters, which replay sends", async () => {
  await using receiver = await startReceiver();
  await using production = await productionWithRequests(receiver);
  await using swept = await installation();
  await using streamed = await installation();
  await restore(production, swept);
  await using _sweeps = await startInProcess(swept.url);
  await using _streams = await startInProcess(streamed.url);
  for (const staging of [swept, streamed]) await staging.query("select net.http_get($1)", [receiver.url("/own")]);
  await receiver.waitFor(2);
  await restore(production, streamed);
  for (const staging of [swept, streamed]) {
    await nothingWaits(staging);
    expect(await staging.query(DEAD)).toEqual(
      ["1", "2", "3", "delayed"].map((name) => ({
        url: receiver.url(`/restored-${name}`),
        attempts: 0,
        error_code: "other_installation",
        error_msg: expect.stringMatching(/^Another installation of pgnetd made this request/) as unknown,
      })),
    );
  }
  expect((await receiver.waitFor(2)).map(({ path }) => path)).toEqual(["/own", "/own"]);
  await streamed.query("select net.http_replay(id) from net.http_dead_letter where url like '%-1'");
  expect((await receiver.waitFor(3)).at(-1)).toMatchObject({ path: "/restored-1", body: Buffer.from("{}") });
});

test("adopt --moved and --keep send what a restore added; what is restored into the copy later is not sent", async () => {
  await using receiver = await startReceiver();
  await using production = await productionWithRequests(receiver);
  for (const [adoption, expected] of [
    ["moved", 4],
    ["keep", 8],
  ] as const) {
    await using copy = await installation();
    await restore(production, copy);
    await adopted(copy, adoption);
    {
      await using _daemon = await startInProcess(copy.url);
      await receiver.waitFor(expected);
      await nothingWaits(copy);
      await restore(production, copy, 2_000);
      await nothingWaits(copy);
      expect(await copy.query(DEAD)).toHaveLength(4);
    }
  }
  expect(receiver.requests).toHaveLength(8);
});

test("P3: a request of another installation is replayed with an id that no other request has here", async () => {
  await using receiver = await startReceiver();
  await using db = await installation();
  await using _daemon = await startInProcess(db.url);
  await db.query("select net.http_post($1, '{}')", [receiver.url("/own")]);
  await receiver.waitFor(1);
  await nothingWaits(db);
  await db.query(
    `insert into net.http_request_queue (id, method, url, timeout_milliseconds, installation_mark)
     select id, 'POST', $1 || id, 5000, -1 from generate_series(1, 2) id`,
    [receiver.url("/restored-")],
  );
  await nothingWaits(db);
  expect(await db.query("select net.http_replay(id)::int as id from net.http_dead_letter order by id")).toEqual([
    { id: 2 },
    { id: 3 },
  ]);
  await db.query("select net.http_post($1, '{}')", [receiver.url("/own")]);
  const keys = new Set((await receiver.waitFor(4)).map(({ headers }) => headers["idempotency-key"]));
  expect(keys).toHaveProperty("size", 4);
});

/** The dead letters of `production` come to be in `staging`, too, as `pg_restore --data-only` adds them. */
async function restoreLetters(production: TestDatabase, staging: TestDatabase): Promise<void> {
  const [dump] = await production.query<{ rows: unknown }>("select json_agg(l) as rows from net.http_dead_letter l");
  await staging.query(
    "insert into net.http_dead_letter select * from json_populate_recordset(null::net.http_dead_letter, $1)",
    [JSON.stringify(dump?.rows)],
  );
}

const LETTER = `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, error_code, died)
  values (nextval('net.http_request_queue_id_seq'), 'POST', $1, 5000, now(), 1, 'connect', $2)`;

test("P3: dead letters of another installation that a restore adds are replayed with ids that no other request has here", async () => {
  await using receiver = await startReceiver();
  await using production = await installation();
  await using staging = await installation();
  for (const n of [1, 2]) await production.query(LETTER, [receiver.url(`/restored-${n}`), "2026-02-02"]);
  await staging.query(LETTER, [receiver.url("/own-1"), "2026-01-01"]);
  await restoreLetters(production, staging);
  await using _daemon = await startInProcess(staging.url);
  const replayed = async (id: number): Promise<unknown> =>
    (await staging.query("select net.http_replay($1)::int as id", [id]))[0]?.["id"];
  expect(await replayed(1)).toBe(1);
  expect(await replayed(1)).toBe(2);
  expect(await replayed(2)).toBe(3);
  await staging.query("select net.http_post($1, '{}')", [receiver.url("/own-4")]);
  const sent = (await receiver.waitFor(4)).map(({ path, headers }) => ({
    path,
    id: Number(String(headers["idempotency-key"]).split("-").at(-1)),
  }));
  expect(sent.toSorted((a, b) => a.id - b.id)).toEqual([
    { path: "/own-1", id: 1 },
    { path: "/restored-1", id: 2 },
    { path: "/restored-2", id: 3 },
    { path: "/own-4", id: 4 },
  ]);
});

test("dead letters of before a copy was adopted, and of before version 20, are replayed with their ids; those restored into it later are not", async () => {
  await using production = await installation();
  for (const adoption of ["discard", "keep", "moved"] as const) {
    await using copy = await testDatabase({ migrated: false });
    await migrate(copy.url, { to: 19 });
    await copy.query(LETTER, ["http://h/1", "2026-01-01"]);
    await migrate(copy.url);
    await copy.query(LETTER, ["http://h/2", "2026-01-01"]);
    await adopted(copy, adoption);
    await copy.query(LETTER, ["http://h/3", "2026-01-01"]);
    expect(
      await copy.query("select id::int, net.http_replay(id)::int as replayed from generate_series(1, 3) id"),
    ).toEqual([1, 2, 3].map((id) => ({ id, replayed: id })));
    await copy.query("select setval('net.http_request_queue_id_seq', 10)");
    await production.query(LETTER, ["http://h/restored", "2026-01-01"]);
    await restoreLetters(production, copy);
    expect(
      await copy.query("select count(*)::int as n, min(net.http_replay(id)::int) as first from net.http_dead_letter"),
    ).toEqual([{ n: expect.any(Number) as unknown, first: 11 }]);
  }
});

test("where the mark is changed under a daemon that runs, it reads the new one, and sends what is requested then", async () => {
  await using receiver = await startReceiver();
  await using db = await installation();
  await using daemon = await startInProcess(db.url);
  await db.query("alter table net.http_request_queue alter column installation_mark set default 12345");
  await eventually(async () => {
    await db.query("select net.http_get($1)", [receiver.url("/")]);
    await nothingWaits(db);
    return receiver.requests.length > 0;
  });
  expect(await db.query("select distinct error_code, attempts from net.http_dead_letter")).toEqual([
    { error_code: "other_installation", attempts: 0 },
  ]);
  const said = "requests of another installation are not sent: they are dead letters";
  expect(daemon.lines.filter(({ message }) => message === said)).toHaveLength(1);
});

test("the statements of docs/operations.md make what a restore added requests of this installation", async () => {
  await using receiver = await startReceiver();
  await using production = await productionWithRequests(receiver);
  await using staging = await installation();
  await restore(production, staging);
  await staging.query(
    `select setval('net.http_request_queue_id_seq', greatest(last_value, (select max(id) from net.http_request_queue)))
     from net.http_request_queue_id_seq`,
  );
  await staging.query(
    "update net.http_request_queue set id = default, installation_mark = default where installation_mark = $1",
    [await markOf(production)],
  );
  await using _daemon = await startInProcess(staging.url);
  expect(await receiver.waitFor(4)).toHaveLength(4);
});

test("an installation that has lost its row is upgraded, and has no mark", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: 18 });
  await db.query("delete from net.pgnetd_installation");
  await migrate(db.url);
  expect(await markOf(db)).toBeNull();
  await db.query("insert into net.pgnetd_installation default values");
  await using _daemon = await startInProcess(db.url);
});

test("a copy that was made an installation of its own, or restored without data, has another mark than its original", async () => {
  await using production = await installation();
  await production.query("select net.http_get('http://a/')");
  const marks = new Set([await markOf(production)]);
  for (const adoption of ["discard", "keep"] as const) {
    await using copy = await testDatabase({ template: production.name });
    await adopted(copy, adoption);
    marks.add(await markOf(copy));
    expect(await copy.query("select distinct installation_mark as mark from net.http_request_queue")).toEqual(
      adoption === "keep" ? [{ mark: await markOf(copy) }] : [],
    );
  }
  await using empty = await testDatabase({ template: production.name });
  await empty.query("truncate net.pgnetd_migrations, net.pgnetd_installation, net.http_request_queue");
  await migrate(empty.url);
  marks.add(await markOf(empty));
  expect(marks).toHaveProperty("size", 4);
  expect(marks).not.toContain(undefined);
});

async function adopted(copy: TestDatabase, adoption: Adoption): Promise<void> {
  const client = await connect(copy.url, "adopt");
  try {
    await adopt(client, null, adoption);
  } finally {
    await client.end();
  }
}

/** What requests that are made now have. */
async function markOf(db: TestDatabase): Promise<unknown> {
  const client = await db.pool.connect();
  try {
    await client.query("begin");
    await client.query("select net.http_get('http://a/')");
    const { rows } = await client.query(
      "select installation_mark as mark from net.http_request_queue order by id desc limit 1",
    );
    return (rows[0] as { mark: unknown } | undefined)?.mark;
  } finally {
    await client.query("rollback");
    client.release();
  }
}
