import { expect, test } from "vitest";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import { eventually } from "../support/eventually.ts";
import { expectExactlyOnce } from "../support/fault-report.ts";
import { startStream } from "../support/fault-stream.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { wantedMajor } from "../support/postgres-versions.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { startReceiver } from "../support/receiver.ts";

/** wal2json knows no publications. */
const HAS_PUBLICATIONS = SLOT_PLUGIN === "pgoutput";

/** Row filters and lists of columns exist from PostgreSQL 15 on. */
const OF_PARTS = process.env["TEST_PG"] === "installed" || wantedMajor() >= 15;

const MAKE = PUBLICATIONS[0]?.make ?? "";
const SLOTS = "select from pg_replication_slots where database = current_database()";
const ROW =
  "insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', 'http://x/', '{}', 1)";

const SILENCES: readonly (readonly [string, string, string])[] = [
  ["dropped", "drop publication pgnetd_outbox", MAKE],
  [
    "without inserts",
    "alter publication pgnetd_outbox set (publish = 'delete')",
    "alter publication pgnetd_outbox set (publish = 'insert')",
  ],
  ...(OF_PARTS
    ? [
        [
          "with a row filter",
          "alter publication pgnetd_outbox set table net.http_request_queue where (id > 1000)",
          "alter publication pgnetd_outbox set table net.http_request_queue",
        ] as const,
        [
          "with a list of columns",
          "alter publication pgnetd_outbox set table net.http_request_queue (id, url)",
          "alter publication pgnetd_outbox set table net.http_request_queue",
        ] as const,
      ]
    : []),
  [
    "without the outbox",
    "alter publication pgnetd_outbox drop table net.http_request_queue",
    "alter publication pgnetd_outbox add table net.http_request_queue",
  ],
];

test.skipIf(!HAS_PUBLICATIONS).for(SILENCES)(
  "P2 P4: a publication %s under the stream: noticed, said, its slot dropped, and taken up when mended",
  async ([, silence, mend]) => {
    await using db = await testDatabase();
    await using stream = await startStream(db.url, { publicationsEveryMs: 300 });
    await db.query(silence);
    await db.query(ROW);
    await eventually(() => stream.outage?.reason.startsWith('publication "pgnetd_outbox" does not'));
    expect(stream.outage?.hint).toContain("create publication pgnetd_outbox");
    // P4: a slot of which nothing comes would hold WAL.
    await eventually(async () => (await db.query(SLOTS)).length === 0);
    const told = stream.lines.filter(({ reason }) => String(reason).startsWith("publication"));
    await db.query(mend);
    const { sessions } = stream;
    await eventually(() => stream.sessions > sessions, 20_000);
    const [row] = await db.query<{ id: string }>(`${ROW} returning id::text`);
    await eventually(() => stream.ids.includes(row?.id ?? ""));
    expect(stream.outage).toBeNull();
    // Told once for each reason: the server's own words, and ours.
    expect(told.length).toBeGreaterThan(0);
    expect(told.length).toBeLessThanOrEqual(2);
  },
);

test.skipIf(!HAS_PUBLICATIONS)(
  "P2: a publication dropped and recreated at once: the stream begins again, so that what passed unpublished is swept",
  async () => {
    await using db = await testDatabase();
    await using stream = await startStream(db.url, { publicationsEveryMs: 300 });
    const { sessions } = stream;
    for (const statement of ["drop publication pgnetd_outbox", ROW, MAKE]) await db.query(statement);
    await eventually(() => stream.sessions > sessions, 20_000);
    const [row] = await db.query<{ id: string }>(`${ROW} returning id::text`);
    await eventually(() => stream.ids.includes(row?.id ?? ""));
    expect(stream.outage).toBeNull();
  },
);

/** Long before a check that came once a minute, and long after one that comes each few seconds. */
const SOON_MS = 25_000;

test.skipIf(!HAS_PUBLICATIONS).for([
  ["altered, and left so", "alter publication pgnetd_outbox set (publish = 'delete')", null],
  ["dropped and recreated", "drop publication pgnetd_outbox", MAKE],
] as const)(
  "P2 P6: what is requested while a publication is %s is sent within seconds, by a sweep",
  async ([, silence, mend]) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using _daemon = await startInProcess(db.url);
    await db.query(silence);
    await enqueue(db, receiver.url("/unpublished"), 20);
    if (mend !== null) await db.query(mend);
    await emptied(db, SOON_MS);
    await expectExactlyOnce(db, receiver, 20);
  },
);

test("P2: a publication dropped and recreated while the daemon is away", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await (await startInProcess(db.url)).stop();
  await db.query("drop publication pgnetd_outbox");
  await enqueue(db, receiver.url("/a"), 50);
  await db.query(MAKE);
  await enqueue(db, receiver.url("/b"), 50);
  await using _daemon = await startInProcess(db.url);
  await enqueue(db, receiver.url("/c"), 50);
  await emptied(db);
  await expectExactlyOnce(db, receiver, 150);
});
