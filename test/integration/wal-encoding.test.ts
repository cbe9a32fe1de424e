import type pg from "pg";
import { expect, test } from "vitest";
import { type EncodedDatabase, encodedDatabase } from "../support/encoded-database.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

/** The server converts what pgoutput writes, and not what wal2json writes. */
const UNREADABLE = SLOT_PLUGIN === "wal2json" ? ["LATIN1"] : [];

/** A migrated database in `encoding`, with a slot of another plugin in the way. */
async function databaseIn(encoding: string): Promise<EncodedDatabase> {
  await using cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await encodedDatabase(encoding));
  await database.db.query(`select pg_create_logical_replication_slot('pgnetd_${database.name}', 'test_decoding')`);
  const all = cleanup.move();
  return { ...database, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const slots = async (db: pg.Pool): Promise<unknown[]> =>
  (await db.query<{ plugin: string }>("select plugin from pg_replication_slots where database = current_database()"))
    .rows;

test.each(["LATIN1", "SQL_ASCII"])(
  "P2: from a database in %s each letter arrives as it was written",
  async (encoding) => {
    await using receiver = await startReceiver();
    await using other = await databaseIn(encoding);
    await using _daemon = await startInProcess(other.url, {}, UNREADABLE.includes(encoding) ? "polling" : "live");
    await other.db.query("select net.http_request('POST', $1, 'größe'::text)", [receiver.url("/é")]);
    await receiver.waitFor(1);
    expect(receiver.requests[0]).toMatchObject({ path: "/%C3%A9", body: Buffer.from("größe") });
    await eventually(async () => (await other.db.query("select from net._http_response")).rowCount === 1);
  },
);

test.each(UNREADABLE)(
  "P4: with no stream to be had from a database in %s it is said why, and no slot is left",
  async (encoding) => {
    await using other = await databaseIn(encoding);
    await using daemon = await startInProcess(other.url, {}, "polling");
    const said = await eventually(async () => {
      const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { detail: string };
      return health.detail.includes(encoding) && health.detail;
    });
    expect(said).toMatch(/a database in LATIN1 cannot be read.*slot\.plugin/);
    expect(await slots(other.db)).toEqual([]);
  },
);
