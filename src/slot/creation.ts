import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { runLoops, stopped } from "../base/loops.ts";
import { Client } from "../pg/client.ts";
import type { LockKey } from "../wal/advisory-lock.ts";
import { createSlot, type SlotOptions } from "./slot.ts";
import { blockedSlot, selectBlockers, type SlotBlocker } from "./blockers.ts";
import type { StreamOutage } from "./stream-outage.ts";
import { hangUp } from "../wal/wire.ts";

/** What the making of a slot needs. */
export interface SlotMaking {
  /** For the connection that monitors the waiting one. */
  readonly connection: pg.ClientConfig;
  readonly lock: LockKey;
  /** An answer must come within this time, in milliseconds. */
  readonly answerMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Called where the making waits: the session was alive, with the leader's lock, after `at`. Null where another session of
   * this daemon leads meanwhile.
   */
  readonly heard: ((at: number) => void) | null;
  /** Who is waited for. */
  readonly outage: (outage: StreamOutage) => void;
}

/** Most slots are created by then; afterwards the session is checked at this interval. */
const LOOK_MS = 400;

const SESSION = `select pg_catalog.pg_backend_pid() as pid,
  pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version`;

/**
 * Makes the slot on `client`'s session, which waits until every transaction then in progress has ended. Meanwhile that
 * session can say nothing: a second connection sees whether it lives, with the leader's lock where it has to lead, and who
 * is waited for.
 */
export async function makeSlot(
  client: pg.ClientBase,
  slot: SlotOptions,
  making: SlotMaking,
  signal: AbortSignal,
): Promise<void> {
  const { rows } = await client.query<{ pid: number; version: number }>(SESSION);
  if (slot.failover && (rows[0]?.version ?? 0) < 17_00_00) {
    throw new PgnetdError("STREAM_UNAVAILABLE", "a slot for failover needs PostgreSQL 17 or newer", {
      hint: "Set slot.failover (PGNETD_SLOT_FAILOVER) to false.",
    });
  }
  const made = client.query(createSlot(slot));
  made.catch(() => undefined);
  await runLoops(signal, [
    async (all) => {
      await Promise.race([made, stopped(all)]);
    },
    (all) => lookAfter(rows[0]?.pid ?? 0, slot, making, all),
  ]);
}

interface Observation {
  readonly lives: boolean;
  readonly leads: boolean;
  readonly blockers: readonly SlotBlocker[];
}

const NOTHING_SEEN: Observation = { lives: false, leads: false, blockers: [] };

const OBSERVE = `
select
  exists (select from pg_catalog.pg_stat_activity a where a.pid = $1) as lives,
  exists (
    select from pg_catalog.pg_locks l
    where l.pid = $1 and l.granted and l.locktype = 'advisory' and l.classid = $2::int8::oid and l.objid = $3::int8::oid
  ) as leads,
  (
    ${selectBlockers("$1")}
  ) as blockers`;

async function lookAfter(pid: number, slot: SlotOptions, making: SlotMaking, signal: AbortSignal): Promise<void> {
  const { connection, lock, answerMs, clock, log, heard, outage } = making;
  await clock.sleep(LOOK_MS, signal);
  if (signal.aborted) return;
  const observer = new Client({ ...connection, query_timeout: answerMs });
  observer.on("error", () => undefined);
  let reported = "";
  try {
    await observer.connect();
    while (!signal.aborted) {
      const askedAt = clock.now();
      const { rows } = await observer.query<Observation>(OBSERVE, [pid, lock.classId, lock.shard]);
      if (signal.aborted) return;
      const { lives, leads, blockers } = rows[0] ?? NOTHING_SEEN;
      if (!(heard === null ? lives : leads)) {
        throw new PgnetdError("STREAM_LOST", "the session that made the slot is gone");
      }
      heard?.(askedAt);
      const waiting = blockedSlot(slot.name, blockers);
      if (waiting !== null && waiting.reason !== reported) {
        reported = waiting.reason;
        log.warn({ ...waiting, blockers }, "the replication slot is not made yet");
        outage(waiting);
      }
      await clock.sleep(LOOK_MS, signal);
    }
  } finally {
    await hangUp(observer, () => observer.end(), clock);
  }
}
