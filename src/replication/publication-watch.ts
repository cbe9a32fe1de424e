import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Loop, stopped, unlessStopped } from "../base/loops.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { NeededPublication } from "../pg/own-publications.ts";
import type { Queryable } from "../pg/pool.ts";
import { changeOf, readVersion, selectVersion } from "../wal/publication-check.ts";

/** A stream that flows. */
export interface WatchedStream {
  /** How far it was received: where that stays, nothing was changed. */
  readonly position: Lsn;
  /** The publications as they were when it began. */
  readonly published: string;
}

/** What the watch needs. */
export interface PublicationWatch {
  readonly publications: readonly NeededPublication[];
  /** Null while there is no stream. */
  readonly stream: () => WatchedStream | null;
  readonly db: Queryable;
  /** Interval of checks while the server writes to its log, in milliseconds; 3,000 unless set. */
  readonly everyMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const EVERY_MS = 3_000;

/**
 * P8: and where nothing is written, in milliseconds. A change that was received may become visible later, where its commit waits
 * for a synchronous standby.
 */
const IDLE_EVERY_MS = 60_000;

/**
 * P2: a publication that was dropped or altered leaves the stream silent, which looks like a stream without requests. Rejects with
 * STREAM_LOST when one was, so that what passed unpublished is swept; and when row security of its tables was, so that nothing is
 * sent before it is known that no row is hidden.
 */
export function watchPublications(watch: PublicationWatch): Loop {
  const { publications, stream, db, everyMs = EVERY_MS, clock, log } = watch;
  const failures = new FailureLog(log, {
    failed: "the publications could not be checked; trying again",
    succeeded: "the publications are checked again",
  });
  const read = async (): Promise<string | null> => {
    try {
      const { rows } = await db.query({ text: selectVersion(publications) });
      failures.succeeded();
      return readVersion(rows);
    } catch (error) {
      failures.failed(error);
      return null;
    }
  };
  return async (signal) => {
    if (publications.length === 0) await stopped(signal);
    let checked: { readonly position: Lsn; readonly at: number } | null = null;
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal);
      const now = stream();
      if (signal.aborted || now === null) continue;
      const at = clock.now();
      if (checked !== null && checked.position === now.position && at - checked.at < IDLE_EVERY_MS) continue;
      // A server that does not answer holds up no stop.
      const version = await unlessStopped(read(), signal);
      if (version === null) continue;
      if (version !== now.published) {
        throw new PgnetdError("STREAM_LOST", `${changeOf(now.published, version)}: rows may have passed unpublished`);
      }
      checked = { position: now.position, at };
    }
  };
}
