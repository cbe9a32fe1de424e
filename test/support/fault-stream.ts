import { systemClock } from "../../src/base/clock.ts";
import type { Log } from "../../src/base/log.ts";
import type { LockHolder } from "../../src/leader/holder.ts";
import { connectionConfig } from "../../src/pg/pool.ts";
import { openDecoder } from "../../src/wal/decoder.ts";
import type { Begin } from "../../src/wal/events.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import type { Lsn } from "../../src/pg/lsn.ts";
import { Precedence } from "../../src/leader/precedence.ts";
import { pollSession } from "../../src/replication/poll-session.ts";
import type { ServerIdentity, SessionOptions } from "../../src/replication/session-options.ts";
import { streamSession } from "../../src/replication/stream-session.ts";
import { superviseSessions } from "../../src/replication/supervise.ts";
import { LivenessTimeout } from "../../src/replication/liveness-timeout.ts";
import type { StreamOutage } from "../../src/slot/stream-outage.ts";
import { eventually } from "./eventually.ts";
import { SLOT_PLUGIN } from "./slot-plugin.ts";
import { openTestPool } from "./pool.ts";

/** A stream without a dispatcher: what it brought, and how its sessions went. Closing it ends it. */
export interface RecordedStream extends AsyncDisposable {
  /** Ids of the outbox rows in the order they came, also those of transactions cut in the middle. */
  readonly ids: readonly string[];
  /** Sessions that came as far as streaming. */
  readonly sessions: number;
  /** Sessions that ended by themselves. */
  readonly losses: number;
  /** Which history of which cluster the last session was of. */
  readonly identity: ServerIdentity | null;
  /** How often the server was heard: data and keepalives. */
  readonly heard: number;
  /** Where the commit record of the transaction begins that came last. */
  readonly begun: Lsn | null;
  readonly messages: readonly string[];
  readonly outage: StreamOutage | null;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Resolves when `count` different rows have come. */
  waitFor(count: number, withinMs?: number): Promise<void>;
}

/** What may be other than usual. */
export interface StreamChoices extends Partial<SessionOptions> {
  /** Called for each row, before it counts. */
  readonly inserted?: (row: Readonly<Record<string, unknown>>) => void;
  /** Called with the server at which the session waits for the lock. */
  readonly standby?: (server: ServerIdentity) => void;
  /** Called with each moment that a session was alive after, and with how many were lost before it. */
  readonly heard?: (at: number, losses: number) => void;
  /** Called when the server was asked for a sign of life. */
  readonly asked?: () => void;
}

const SENDER_TIMEOUT_MS = 4_000;

/** Starts a supervised stream from `url` and resolves when it flows. */
export async function startStream(url: string, choices: StreamChoices = {}): Promise<RecordedStream> {
  const stop = new AbortController();
  const pool = openTestPool({ connectionString: url, max: 1 });
  const ids: string[] = [];
  const messages: string[] = [];
  const lines: Readonly<Record<string, unknown>>[] = [];
  const say = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    lines.push({ ...fields, message });
  };
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const seen = {
    sessions: 0,
    losses: 0,
    heard: 0,
    begun: null as Lsn | null,
    identity: null as ServerIdentity | null,
    outage: null as StreamOutage | null,
  };
  const listener = {
    standby: (_: LockHolder | null, server: ServerIdentity) => choices.standby?.(server),
    leading: (server: ServerIdentity) => {
      seen.identity = server;
    },
    streaming: () => {
      seen.sessions++;
    },
    received: () => undefined,
    asked: () => choices.asked?.(),
    answered: () => undefined,
    heard: (at: number) => {
      choices.heard?.(at, seen.losses);
      seen.heard++;
    },
    begin: ({ commitLsn }: Begin) => {
      seen.begun = commitLsn;
    },
    insert: (_table: string, row: Readonly<Record<string, unknown>>) => {
      choices.inserted?.(row);
      ids.push(String(row["id"]));
    },
    change: () => undefined,
    truncate: () => undefined,
    message: (content: string) => {
      messages.push(content);
    },
    commit: () => undefined,
  };
  const clock = systemClock;
  const livenessTimeout = new LivenessTimeout(choices.senderTimeoutMs ?? SENDER_TIMEOUT_MS);
  const shared = {
    connection: connectionConfig(url, "pgnetd (pg_net) leader"),
    lock: choices.lock ?? { classId: LOCK_CLASS_ID, shard: 0 },
    precedence: new Precedence(),
    senderTimeoutMs: choices.senderTimeoutMs ?? SENDER_TIMEOUT_MS,
    fenceMs: choices.fenceMs ?? 750,
    clock,
    log,
  };
  const noListener = { standby: () => undefined, leading: () => undefined, heard: () => undefined };
  const ended = superviseSessions(
    {
      stream: async (attempt, signal) => {
        await streamSession(
          {
            ...shared,
            db: pool,
            slot: { name: null, plugin: SLOT_PLUGIN, temporary: false, failover: false },
            decoder: openDecoder(SLOT_PLUGIN),
            livenessTimeout,
            ...attempt,
            ...choices,
          },
          listener,
          signal,
        ).finally(() => {
          if (!stop.signal.aborted) seen.losses++;
        });
      },
      poll: (attempt, signal) => pollSession({ ...shared, ...attempt }, noListener, signal),
      lost: () => undefined,
      outage: (outage) => {
        seen.outage = outage;
      },
    },
    { clock, log, signal: stop.signal },
  );
  const stream: RecordedStream = {
    ids,
    messages,
    lines,
    get sessions() {
      return seen.sessions;
    },
    get losses() {
      return seen.losses;
    },
    get identity() {
      return seen.identity;
    },
    get heard() {
      return seen.heard;
    },
    get begun() {
      return seen.begun;
    },
    get outage() {
      return seen.outage;
    },
    async waitFor(count, withinMs) {
      await eventually(() => new Set(ids).size >= count, withinMs);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await pool.end();
    },
  };
  await eventually(() => stream.sessions > 0);
  return stream;
}
