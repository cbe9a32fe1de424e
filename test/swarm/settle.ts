import { RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { eventually } from "../support/eventually.ts";
import type { Callers } from "./callers.ts";
import { someLive, type World } from "./world.ts";

/** Everything that waits must have ended by then, beside the time that the rate asks for, in milliseconds. */
const DRAIN_MS = 60_000;
/** A daemon that was started late serves by then, on a busy machine too, in milliseconds. */
const SERVES_MS = 30_000;
/** WAL that an idle slot may retain: two segments. */
const RETAINED_BYTES = 32 * 1024 * 1024;
/** A daemon's largest resident size in these runs, in megabytes: 64 MiB of requests, 64 MiB of answers, and Node. */
const RESIDENT_MB = 400;

/** After the faults: says what does not come to rest. */
export async function settle(world: World, callers: Callers): Promise<readonly string[]> {
  const harms: string[] = [];
  const attempt = async (what: string, act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      harms.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  await attempt("the server is not there", () => eventually(() => restored(world, callers)));
  await attempt("P2: requests still wait", () => drained(world));
  await attempt("P2: no daemon streams", () => someLive(world.daemons));
  await attempt("P4: the slot retains WAL", () => confirmed(world));
  for (const daemon of world.daemons) {
    // Before it serves, it has no handler of signals.
    await attempt("a daemon does not serve", () => eventually(async () => (await daemon.state()) !== null, SERVES_MS));
    await attempt("a daemon does not stop", () => daemon.finish());
  }
  for (const { unexpected, peakMb } of world.daemons) {
    harms.push(...unexpected);
    if (peakMb > RESIDENT_MB) harms.push(`P5: a daemon had ${Math.round(peakMb)} MB resident`);
  }
  return harms;
}

/** What a crash left of callers goes, and so do the settings that hold requests back. */
async function restored({ db }: World, callers: Callers): Promise<true> {
  const left = await db.query<{ gid: string }>("select gid from pg_prepared_xacts");
  for (const { gid } of left) await db.query(`rollback prepared '${gid}'`);
  await callers.liftHostSettings();
  return true;
}

async function drained({ db, plan }: World): Promise<void> {
  const { perSecond } = plan.settings;
  const [row] = await db.query<{ rows: number }>("select count(*)::int as rows from net.http_request_queue");
  const rows = row?.rows ?? 0;
  const rateMs = perSecond === "unlimited" ? 0 : (rows / perSecond) * 1_000;
  await eventually(
    async () => {
      const left = await db.query<{ id: string }>("select id::text from net.http_request_queue order by id limit 5");
      if (left.length > 0) throw new Error(`${left.map(({ id }) => id).join(", ")} and perhaps more`);
      return true;
    },
    DRAIN_MS + 2 * rateMs,
  );
}

/** What was written is confirmed, and WAL is let go: a checkpoint logs what runs, which the slot needs for that. */
async function confirmed({ db }: World): Promise<void> {
  const [written] = await db.query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");
  await eventually(async () => {
    await db.query("checkpoint");
    const [slot] = await db.query<{ behind: string; retained: string }>(
      `select max($1::pg_lsn - confirmed_flush_lsn)::text as behind, max(pg_current_wal_lsn() - restart_lsn)::text as retained
       from pg_replication_slots`,
      [written?.lsn],
    );
    if (Number(slot?.behind) > RESERVE_BYTES) throw new Error(`${slot?.behind} bytes are not confirmed`);
    if (Number(slot?.retained) > RETAINED_BYTES) throw new Error(`${slot?.retained} bytes`);
    return true;
  }, 20_000);
}
