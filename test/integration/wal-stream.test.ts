import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { QUIET_RESERVE_BYTES, RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { openDecoder } from "../../src/wal/decoder.ts";
import { parseLsn } from "../../src/pg/lsn.ts";
import { DEADLINE_MS, eventually } from "../support/eventually.ts";
import { connectClient, type TestClient } from "../support/fault-clients.ts";
import { startStream } from "../support/fault-stream.ts";
import { type TestDatabase, testDatabase, testServer } from "../support/postgres.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

const ROW =
  "insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', 'http://x/', '{}', 1)";

/** This many rows in one transaction. */
const MANY = (count: string, body = "null"): string =>
  `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  select 'GET', 'http://x/', '{}', ${body}, 1 from generate_series(1, ${count}) g`;

/** So often what a busy database has written must be confirmed while it writes more: some two seconds, since it is every 200 ms. */
const CONFIRMATIONS = 8;

interface Positions {
  readonly confirmed: string;
  /** The end of the log. */
  readonly written: string;
  readonly behind: number;
}

/** The slot's confirmed position, and the end of the log. */
async function positions(db: Pick<TestDatabase, "query"> | TestClient): Promise<Positions> {
  const [row] = await db.query<{ confirmed: string; written: string; behind: number }>(
    `select confirmed_flush_lsn::text as confirmed, pg_current_wal_lsn()::text as written,
      (pg_current_wal_lsn() - confirmed_flush_lsn)::float8 as behind
    from pg_replication_slots where database = current_database()`,
  );
  if (row === undefined) throw new Error("there is no slot");
  return row;
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What is in memory and not garbage, in bytes. */
function heldBytes(): number {
  // What the first collection found to be garbage is counted until the second.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function endWalsender(db: Pick<TestDatabase, "query">): Promise<void> {
  await db.query(
    "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = current_database() and active",
  );
}

describe("P2: no commit is passed over", () => {
  test("a commit that begins where the confirmed one ended comes with the next session", async () => {
    // Of its own: what other tests write in between would spoil each try.
    await using server = await testServer();
    await migrate(server.url());
    await using first = await connectClient(server.url());
    await using second = await connectClient(server.url());
    await startStream(server.url()).then((stream) => stream[Symbol.asyncDispose]());
    const ids = new Set<string>();
    const bring = async (count: number, commit: () => Promise<unknown>): Promise<void> => {
      await using stream = await startStream(server.url());
      await commit();
      await eventually(() => new Set([...ids, ...stream.ids]).size === count);
      for (const id of stream.ids) ids.add(id);
    };
    // Whatever the server itself writes in between spoils a try, not the test.
    await eventually(async () => {
      for (const client of [first, second]) await client.query(`begin; ${ROW}`);
      await bring(ids.size + 1, async () => first.query("commit"));
      const { confirmed } = await positions(second);
      const [insert] = await second.query<{ at: string }>("select pg_current_wal_insert_lsn()::text as at");
      await second.query("commit");
      await bring(ids.size + 1, async () => undefined);
      return insert?.at === confirmed;
    });
    expect(ids.size % 2).toBe(0);
  });

  test("P4: in a quiet log everything but a part of the last record is confirmed, and everything when the session ends", async () => {
    await using server = await testServer();
    await migrate(server.url());
    await using client = await connectClient(server.url());
    {
      await using stream = await startStream(server.url());
      await client.query(ROW);
      await stream.waitFor(1);
      await eventually(async () => (await positions(client)).behind <= Number(QUIET_RESERVE_BYTES), 20_000);
      expect((await positions(client)).behind).toBeGreaterThan(0);
    }
    // The server may read the last status later than this process has gone.
    await eventually(async () => (await positions(client)).behind === 0);
  });

  test("of thousands in a row, while sessions are cut at random, each is brought", async () => {
    await using db = await testDatabase();
    await using stream = await startStream(db.url);
    await using one = await connectClient(db.url);
    await using two = await connectClient(db.url);
    await using three = await connectClient(db.url);
    const stop = new AbortController();
    let committed = 0;
    const writing = [one, two, three].map(async (client) => {
      await client.query("set synchronous_commit = off");
      while (!stop.signal.aborted) {
        await client.query(ROW);
        committed++;
      }
    });
    try {
      for (let cut = 1; cut <= 8; cut++) {
        const { sessions } = stream;
        const many = stream.ids.length + 50 + Math.floor(Math.random() * 300);
        await eventually(() => stream.ids.length >= many);
        await endWalsender(db);
        await eventually(() => stream.sessions > sessions);
      }
    } finally {
      stop.abort();
      await Promise.all(writing);
    }
    await stream.waitFor(committed, 20_000);
    expect(new Set(stream.ids).size).toBe(committed);
    expect(committed).toBeGreaterThan(1_000);
    expect(stream.losses).toBeGreaterThanOrEqual(8);
  });

  test("nothing of a transaction is confirmed before its end has come", async () => {
    await using db = await testDatabase();
    await using stream = await startStream(db.url);
    await db.query(ROW);
    await eventually(async () => (await positions(db)).behind <= Number(RESERVE_BYTES));
    await using watcher = await connectClient(db.url);
    const written = db.query(MANY("60000"));
    await eventually(() => stream.ids.length > 1, 20_000);
    const meanwhile = await positions(watcher);
    const cameMeanwhile = stream.ids.length;
    await stream.waitFor(60_001, 20_000);
    await written;
    await eventually(async () => (await positions(db)).behind <= Number(RESERVE_BYTES));
    expect(cameMeanwhile).toBeLessThan(60_001);
    // The server skips a commit that begins before the confirmed position.
    expect(parseLsn(meanwhile.confirmed)).toBeLessThan(stream.begun ?? 0n);
    expect(stream.losses).toBe(0);
  });
});

describe("a session", () => {
  test("P5: holds nothing of a transaction of 200 MB", async () => {
    await using db = await testDatabase();
    const held: number[] = [];
    let rows = 0;
    await using stream = await startStream(db.url, {
      inserted: () => {
        if (++rows % 5_000 === 0) held.push(heldBytes());
      },
    });
    const before = heldBytes();
    await db.query(MANY("50000", "convert_to(repeat(md5(g::text), 128), 'UTF8')"));
    await stream.waitFor(50_000, 30_000);
    expect(held).toHaveLength(10);
    expect(Math.max(...held) - before).toBeLessThan(30 * 1024 ** 2);
    expect(stream.losses).toBe(0);
  });

  test("P8: keeps up with a database that writes much and requests nothing, without a flood", async () => {
    await using db = await testDatabase();
    await db.query("create table public.other (n int, filler text)");
    await using stream = await startStream(db.url);
    await eventually(async () => (await positions(db)).behind <= Number(RESERVE_BYTES));
    const heardBefore = stream.heard;
    const began = performance.now();
    // How far it is behind says how fast the walsender reads beside a writer, on this machine at this moment. That it keeps up is that
    // what was written is confirmed while more is, again and again: one that confirmed in a pause alone would never get there.
    let { written } = await positions(db);
    let confirmations = 0;
    let statements = 0;
    while (confirmations < CONFIRMATIONS && performance.now() - began < DEADLINE_MS) {
      await db.query("insert into public.other select g, repeat('x', 200) from generate_series(1, 2000) g");
      statements++;
      const now = await positions(db);
      if (parseLsn(now.confirmed) < parseLsn(written)) continue;
      ({ written } = now);
      confirmations++;
    }
    expect(confirmations).toBe(CONFIRMATIONS);
    // Some two keepalives for each statement, with wal2json and on 14 some four; answering each at once would make the server send the next.
    expect((stream.heard - heardBefore) / statements).toBeLessThan(8);
    await eventually(async () => (await positions(db)).behind <= Number(RESERVE_BYTES));
    expect(stream.losses).toBe(0);
  });

  test("lets a server that shuts down go at once, and comes back with it", async () => {
    await using server = await testServer();
    await migrate(server.url());
    await using stream = await startStream(server.url());
    {
      await using client = await connectClient(server.url());
      await client.query(MANY("5000"));
      await stream.waitFor(5_000);
      await client.query(ROW);
    }
    const heardBefore = stream.heard;
    const began = performance.now();
    await server.stop("fast");
    // A stream that does not let go holds it up for wal_sender_timeout, a minute.
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(stream.heard - heardBefore).toBeLessThan(50);
    await server.start();
    await using client = await connectClient(server.url());
    await client.query(ROW);
    await stream.waitFor(5_002);
    expect(stream.sessions).toBe(2);
  });

  test("obeys no control message from before it began: the start has done what it asks for", async () => {
    await using db = await testDatabase();
    const emit = async (message: string): Promise<void> => {
      await db.query("select pg_logical_emit_message(true, 'pgnetd', $1)", [message]);
    };
    {
      await using stream = await startStream(db.url);
      await emit("first");
      await eventually(() => stream.messages.length === 1);
    }
    await emit("while nobody listens");
    await using stream = await startStream(db.url);
    await emit("last");
    await eventually(() => stream.messages.includes("last"));
    expect(stream.messages).toEqual(["last"]);
  });

  test("of which a message cannot be read ends, and its slot is recreated", async () => {
    await using db = await testDatabase();
    const decoder = openDecoder(SLOT_PLUGIN);
    let broken = true;
    await using stream = await startStream(db.url, {
      decoder: {
        ...decoder,
        open: () => {
          const decode = decoder.open();
          return (payload, sink) => {
            if (broken && payload.includes("unreadable")) throw new TypeError("what is this?");
            decode(payload, sink);
          };
        },
      },
    });
    await db.query(ROW.replace("'http://x/'", "'http://unreadable/'"));
    await eventually(() => stream.losses > 0);
    await eventually(() => stream.sessions > 1);
    const unreadable = "the stream could not be read: what is this?";
    expect(stream.lines).toContainEqual(expect.objectContaining({ reason: unreadable }));
    expect(stream.lines).toContainEqual(expect.objectContaining({ why: "what it brought could not be read" }));
    broken = false;
    const [id] = await db.query<{ id: string }>(`${ROW} returning id::text`);
    await stream.waitFor(1);
    expect(stream.ids).toEqual([id?.id]);
  });

  test("P2: brings nothing that follows a message that cannot be read, and does not confirm it", async () => {
    await using db = await testDatabase();
    const decoder = openDecoder(SLOT_PLUGIN);
    await using stream = await startStream(db.url, {
      decoder: {
        ...decoder,
        open: () => {
          const decode = decoder.open();
          return (payload, sink) => {
            if (payload.includes("unreadable")) throw new TypeError("what is this?");
            decode(payload, sink);
          };
        },
      },
    });
    // In one transaction, so that all come together.
    await db.query(`${MANY("300")}; ${ROW.replace("'http://x/'", "'http://unreadable/'")}; ${MANY("1000")}`);
    await eventually(() => stream.sessions > 1);
    expect(stream.ids).toHaveLength(300);
  });

  test("reads times and bodies in PostgreSQL's own form, whatever the database's settings are", async () => {
    await using db = await testDatabase();
    await db.query(`alter database ${db.name} set datestyle = 'SQL, DMY'`);
    await db.query(`alter database ${db.name} set timezone = 'Asia/Kathmandu'`);
    await db.query(`alter database ${db.name} set bytea_output = 'escape'`);
    const came: unknown[] = [];
    await using stream = await startStream(db.url, {
      inserted: ({ next_attempt_at, body }) => came.push(next_attempt_at, body),
    });
    await db.query(
      `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, next_attempt_at)
      values ('GET', 'http://x/', '{}', '\\xff5c0061', 1, '2036-05-04 03:02:01Z')`,
    );
    await stream.waitFor(1);
    expect(came).toEqual(["2036-05-04 08:47:01+05:45", Buffer.from("ff5c0061", "hex")]);
  });

  test.skipIf(SLOT_PLUGIN === "wal2json")(
    "logs once for each cause that its publications cannot be checked, and goes on",
    async () => {
      await using db = await testDatabase();
      const codes = ["42501", "42501", "57014"];
      const failing: Queryable = {
        query: (statement) => {
          const code = codes.shift();
          return code === undefined
            ? db.pool.query(statement)
            : Promise.reject(Object.assign(new Error("no"), { code }));
        },
      };
      await using stream = await startStream(db.url, { db: failing, publicationsEveryMs: 10 });
      const logged = (): unknown[] => stream.lines.filter(({ message }) => String(message).includes("publications"));
      await eventually(() => logged().length >= 3);
      expect(logged()).toEqual([
        { code: "42501", reason: "no", message: "the publications could not be checked; trying again" },
        {
          code: "57014",
          reason: "no",
          hint: expect.stringContaining("pg_locks") as unknown,
          message: "the publications could not be checked; trying again",
        },
        { message: "the publications are checked again" },
      ]);
      await db.query(ROW);
      await stream.waitFor(1);
      expect(stream.losses).toBe(0);
    },
  );
});
