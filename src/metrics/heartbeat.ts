import { randomUUID } from "node:crypto";

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";
import { MESSAGE_PREFIX } from "../wal/events.ts";
import { CATALOGUE } from "./catalogue.ts";
import { Distribution } from "./distribution.ts";

/** What the heartbeats of one process come to, over all leaderships. */
export class HeartbeatMeter {
  readonly roundTrip = new Distribution(CATALOGUE.heartbeat.roundTrip.buckets);
  sentCount = 0;
}

/** What a heartbeat needs. */
export interface HeartbeatOptions {
  readonly db: Queryable;
  readonly meter: HeartbeatMeter;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

/** At most one in this time, in milliseconds. */
const EVERY_MS = 10_000;
/** At most one in this time where nothing was received or sent since the last, in milliseconds. */
const IDLE_EVERY_MS = 300_000;
/** So many that have not come back are remembered. */
const MOST_PENDING = 100;

/**
 * In a transaction of its own, so that it is flushed, decoded and sent as a request is; committed without a standby's word,
 * which a heartbeat is no reason to wait for.
 */
const WRITE = `select pg_catalog.pg_logical_emit_message(true, '${MESSAGE_PREFIX}'::text, $1::text)
where pg_catalog.set_config('synchronous_commit', 'local', true) is not null`;

const FORM = /^\{"heartbeat":"([\w-]+)"\}$/;

/** Writes messages into the WAL and measures when the stream brings them back: proof of the whole way but the sending. P8: only when asked to. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #failures: FailureLog;
  /** By their ids, which nobody can guess: when each was sent, the oldest first. */
  readonly #pending = new Map<string, number>();
  #lastAt = Number.NEGATIVE_INFINITY;
  /** What `beat` was told at the last one. */
  #lastWork = 0;
  /** One is being written: no other is meanwhile. */
  #isWriting = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.log, {
      failed: "no heartbeat could be written; trying again",
      succeeded: "heartbeats are written again",
    });
  }

  /** Milliseconds since the oldest was sent that has not come back; 0 without any. */
  get pendingMs(): number {
    const [oldest] = this.#pending.values();
    return oldest === undefined ? 0 : this.#options.clock.now() - oldest;
  }

  /** Writes one, where the last is old enough; not waited for. `work` is a number that changes with what is received and sent. */
  beat(work: number): void {
    const { db, clock, meter } = this.#options;
    const now = clock.now();
    const every = work === this.#lastWork ? IDLE_EVERY_MS : EVERY_MS;
    if (this.#isWriting || now - this.#lastAt < every) return;
    this.#lastAt = now;
    this.#lastWork = work;
    this.#isWriting = true;
    const id = randomUUID();
    this.#remember(id, now);
    db.query({ text: WRITE, values: [JSON.stringify({ heartbeat: id })] })
      .then(
        () => {
          meter.sentCount++;
          this.#failures.succeeded();
        },
        (error: unknown) => {
          this.#pending.delete(id);
          this.#failures.failed(error);
        },
      )
      .finally(() => (this.#isWriting = false));
  }

  /** When full the second oldest is forgotten: the oldest says since when none came back, and the newest is the first that can. */
  #remember(id: string, now: number): void {
    const [, second] = this.#pending.keys();
    if (this.#pending.size >= MOST_PENDING && second !== undefined) this.#pending.delete(second);
    this.#pending.set(id, now);
  }

  /** A message came by the stream. Returns whether it was a heartbeat; only one of this daemon is measured. */
  readonly received = (content: string): boolean => {
    const id = FORM.exec(content)?.[1];
    if (id === undefined) return false;
    const sentAt = this.#pending.get(id);
    if (sentAt === undefined) return true;
    this.#options.meter.roundTrip.observe((this.#options.clock.now() - sentAt) / 1_000);
    // What was sent before and did not come was lost with a session, which brings nothing from before its beginning.
    for (const [earlier, at] of this.#pending) if (at <= sentAt) this.#pending.delete(earlier);
    return true;
  };

  /** There is no stream, or a new one, which brings nothing from before its beginning: none of these will come. */
  readonly forget = (): void => {
    this.#pending.clear();
  };
}
