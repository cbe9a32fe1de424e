import type pg from "pg";
import { LogicalReplicationService } from "pg-logical-replication";

import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Clock } from "../base/clock.ts";
import { PgnetdError, toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops, stopped } from "../base/loops.ts";
import { type Queryable, socketOf } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import type { LockKey } from "../wal/advisory-lock.ts";
import type { Decode, Decoder, WalSink } from "../wal/events.ts";
import { takeOver } from "../leader/handover.ts";
import { takeLeaderLock } from "../leader/lock.ts";
import type { LockHolder } from "../leader/holder.ts";
import { formatLsn, type Lsn, parseLsn, ZERO_LSN } from "../pg/lsn.ts";
import type { LivenessTimeout } from "./liveness-timeout.ts";
import { LARGEST_MESSAGE_BYTES } from "../wal/message-limit.ts";
import { acknowledgement, Positions } from "../wal/confirmed-position.ts";
import { INSTALLATION_TABLE } from "../wal/publication-check.ts";
import { defaultSlotName, type SlotOptions, startReplication } from "../slot/slot.ts";
import { dropSlot, prepareSlot } from "../slot/preparation.ts";
import { proveLead } from "./proof-of-lead.ts";
import { type WatchedStream, watchPublications } from "./publication-watch.ts";
import { madeAnew, tooLarge, unreadable } from "./stream-failure.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";
import {
  ask,
  bytesReceived,
  askEveryMs,
  doubtMs,
  endWithPeer,
  hangUp,
  limitMessages,
  readInTurns,
  type Silence,
} from "../wal/wire.ts";

/** Which history of which cluster the positions belong to: after a failover or a restore they are others. */
export interface ServerIdentity {
  readonly systemId: string;
  readonly timeline: number;
}

/** What a session reports besides what the stream brings. */
export interface SessionListener extends Omit<WalSink, "message" | "relation"> {
  /** A control message written since the session began: one from before has been followed by a start already. */
  message(content: string): void;
  /** Another session holds the leader's lock of this server; this one waits for it. */
  standby(holder: LockHolder | null, server: ServerIdentity): void;
  /** The lock is held: this daemon leads until the session ends. There may be no stream yet. */
  leading(server: ServerIdentity): void;
  /** From here on every commit reaches the sink. */
  streaming(): void;
  /** Everything before `position` was received; reported whenever it is confirmed to the server. */
  received(position: Lsn): void;
  /**
   * The session, and so the lock, was alive after `at` of the clock. What is read now may have been written long ago, so
   * that is the time when the server was asked, not when its answer was read.
   */
  heard(at: number): void;
  /** The server was asked for a sign of life. While it works on a large transaction it does not answer, and may send nothing. */
  asked(): void;
  /** The server answered, having sent what there was to send up to `position`. */
  answered(position: Lsn): void;
}

/** The slot as configured: without a name it is `pgnetd_` and the database's. */
export type SessionSlot = Omit<SlotOptions, "name"> & { readonly name: string | null };

/** What one replication session needs. */
export interface SessionOptions extends Silence {
  readonly connection: pg.ClientConfig;
  /** The outbox that the rows are to be of: those of another table of that name end the session. */
  readonly outbox?: { readonly table: string; readonly oid: number } | undefined;
  /** For the check of the publications. */
  readonly db: Queryable;
  readonly slot: SessionSlot;
  /** True where the stream of this very slot cannot be read: it is dropped and recreated. */
  readonly renewSlot: boolean;
  /** Null where the session is to lead by itself; else another one of this daemon leads: this ends it and resolves when it has ended. */
  readonly handover: (() => Promise<void>) | null;
  readonly livenessTimeout: LivenessTimeout;
  /** Given the server's clock, in milliseconds since 1970, as it was when the server wrote what is read now. */
  readonly serverTime?: ((ms: number) => void) | undefined;
  /** Called when the stream flows. */
  readonly begun: () => void;
  /** What keeps the stream from flowing for now. */
  readonly outage: (outage: StreamOutage) => void;
  readonly lock: LockKey;
  readonly decoder: Decoder;
  /** P5: a stream with a larger message, in bytes, is not read: its slot is recreated. `LARGEST_MESSAGE_BYTES` unless set. */
  readonly largestMessageBytes?: number;
  /** See `PublicationWatch.everyMs`. */
  readonly publicationsEveryMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The server counts as busy until its position has not moved for so long, in milliseconds. */
const BUSY_FOR_MS = 10_000;

/** The library's plugin interface, which it does not export by name. */
type Plugin = Parameters<LogicalReplicationService["subscribe"]>[0];

/**
 * One replication session, as a loop: connect, take the leader's lock, find or make the slot, stream until `signal`
 * fires. Where another session of this daemon leads, the lock is taken over from it when the slot is found or created. Rejects with
 * STREAM_LOST, STREAM_UNAVAILABLE or the server's error when it ends by itself. Slot, lock and proof of life end together
 * with its one connection.
 */
export async function streamSession(
  options: SessionOptions,
  listener: SessionListener,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, listener);
  try {
    await runLoops(signal, [
      (all) => session.receive(all),
      (all) => session.confirm(all),
      session.publications,
      session.proof,
    ]);
  } finally {
    await session.close();
  }
}

/** pg-logical-replication 2.5 takes PostgreSQL's epoch to be a week before the first of January 2000. */
const LIBRARY_IS_LATE_MS = 604_800_000;

class Session {
  readonly #options: SessionOptions;
  readonly #listener: SessionListener;
  readonly #service: LogicalReplicationService;
  readonly #decode: Decode;
  readonly #positions = new Positions();
  readonly #broken = Promise.withResolvers<never>();
  #client: pg.Client | null = null;
  #stage: "preparing" | "starting" | "streaming" | "unreadable" = "preparing";
  #identity: ServerIdentity | null = null;
  /** True once the listener knows that this session leads. */
  #leads = false;
  /** The server's write position when the session began. */
  #begunAt = ZERO_LSN;
  /** The publications as they were when the session began. */
  #published = "";
  #answeredAt = 0;
  /** When the server was last asked for a sign of life, and when it was asked before something came from it. */
  #askedAt = 0;
  #heardAt = 0;
  #bytes = 0;
  #bytesAt = 0;
  /** The session's process on the server; null before it is known. */
  #pid: number | null = null;
  /** Something came after a silence, see `doubtMs`. */
  readonly #doubted = new AutoResetEvent();
  /** False where this process had stalled, and asked nothing, when that came. */
  #wasAsking = false;

  constructor(options: SessionOptions, listener: SessionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#decode = options.decoder.open();
    this.#broken.promise.catch(() => undefined);
    // The library's own timer would confirm what was received last, finished or not: it is switched off, see confirm().
    this.#service = new LogicalReplicationService(options.connection, {
      acknowledge: { auto: false, timeoutSeconds: 0 },
    });
    this.#service.on("start", () => this.#begun());
    this.#service.on("error", (error: Error) => this.#broken.reject(error));
    this.#service.on("data", (_lsn: string, payload: Buffer) => this.#data(payload));
    this.#service.on("heartbeat", (walEnd: string, time: number, shouldRespond: boolean) => {
      this.#options.serverTime?.(time + LIBRARY_IS_LATE_MS);
      this.#keepalive(walEnd, shouldRespond);
    });
  }

  async receive(signal: AbortSignal): Promise<void> {
    const plugin: Plugin = {
      options: {},
      name: this.#options.decoder.plugin,
      // Decoded in #data: an exception here would reach the socket's listener and end the process.
      parse: (payload) => payload,
      start: (client) => this.#start(client, signal),
    };
    const subscription = this.#service.subscribe(plugin, "");
    subscription.catch(() => undefined);
    await Promise.race([subscription, this.#broken.promise, stopped(signal)]);
    if (!signal.aborted) throw new PgnetdError("STREAM_LOST", "the server ended the replication connection");
  }

  /**
   * P4: confirms what was received, from a timer that no processing delays, and asks for a sign of life each time.
   * Without one for the whole sender timeout the server has given this session up, or soon will; see `LivenessTimeout`.
   */
  async confirm(signal: AbortSignal): Promise<void> {
    const { clock, livenessTimeout } = this.#options;
    let lookedAt = clock.now();
    let movedAt = lookedAt;
    let known = this.#positions.received;
    while (!signal.aborted) {
      const everyMs = askEveryMs(this.#options, lookedAt - movedAt < BUSY_FOR_MS);
      await clock.sleep(everyMs, signal);
      const isLate = clock.now() - lookedAt > 2 * everyMs;
      lookedAt = clock.now();
      if (signal.aborted || this.#stage === "preparing") continue;
      this.#lookForBytes();
      const { received } = this.#positions;
      if (received !== known) movedAt = lookedAt;
      known = received;
      const livenessTimeoutMs = livenessTimeout.ms(received);
      if (clock.now() - Math.max(this.#heardAt, this.#bytesAt) > livenessTimeoutMs) {
        livenessTimeout.lost(received);
        throw new PgnetdError("STREAM_LOST", `nothing was heard from the server for ${livenessTimeoutMs} ms`);
      }
      // After a stall of this process, what came meanwhile is read first: it must not pass for the answer to a new question.
      if (this.#stage === "streaming") await this.#acknowledge(!isLate);
    }
  }

  /** For the livenessTimeout bytes count from when they came: after a stall of this process nothing is asked for, see `confirm`. */
  #lookForBytes(): void {
    const bytes = this.#client === null ? 0 : bytesReceived(this.#client);
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#bytesAt = this.#options.clock.now();
  }

  /** P2: see `watchPublications`. */
  get publications(): Loop {
    const { decoder, db, publicationsEveryMs, clock, log } = this.#options;
    const stream = (): WatchedStream | null =>
      this.#stage === "streaming" ? { position: this.#positions.received, published: this.#published } : null;
    const { publications } = decoder;
    return watchPublications({ publications, stream, db, everyMs: publicationsEveryMs, clock, log });
  }

  get proof(): Loop {
    const { db, clock, log } = this.#options;
    // P3: a server that was not asked meanwhile may not have heard this session for long, and end it any moment: what comes next is doubted, too.
    const proven = (at: number): void => {
      if (this.#wasAsking) this.#heard(at);
    };
    return proveLead({ db, doubted: this.#doubted, pid: () => this.#pid, proven, clock, log });
  }

  async close(): Promise<void> {
    await hangUp(this.#client, () => this.#service.destroy(), this.#options.clock);
  }

  async #start(client: pg.Client, signal: AbortSignal): Promise<void> {
    const { senderTimeoutMs, lock, handover, clock, log, decoder } = this.#options;
    const { largestMessageBytes = LARGEST_MESSAGE_BYTES } = this.#options;
    this.#client = client;
    readInTurns(client);
    limitMessages(client, largestMessageBytes, (bytes) => this.#unreadable(tooLarge(bytes)));
    // A large message takes longer to come than the fence allows for silence.
    socketOf(client).prependListener("data", () => this.#bytesCame());
    await endWithPeer(client, senderTimeoutMs);
    const [backend] = await ask<{ pid: number }>(client, "select pg_catalog.pg_backend_pid() as pid", senderTimeoutMs);
    this.#pid = backend?.pid ?? null;
    // From PostgreSQL 16 on the timeline is an int8, which comes as text.
    const [identity] = await ask<{ systemid: string; timeline: number | string; xlogpos: string; dbname: string }>(
      client,
      "IDENTIFY_SYSTEM",
      senderTimeoutMs,
    );
    if (identity === undefined) throw new PgnetdError("STREAM_LOST", "IDENTIFY_SYSTEM returned nothing");
    this.#begunAt = parseLsn(identity.xlogpos);
    const server = { systemId: identity.systemid, timeline: Number(identity.timeline) };
    this.#identity = server;
    const answerMs = senderTimeoutMs;
    if (handover === null) {
      const waiting = (holder: LockHolder | null): void => this.#listener.standby(holder, server);
      if ((await takeLeaderLock(client, lock, { clock, signal, waiting, answerMs })) === null) return;
    }
    const slot = { ...this.#options.slot, name: this.#options.slot.name ?? defaultSlotName(identity.dbname) };
    const heard = handover === null ? (at: number) => this.#lead(at) : null;
    const preparation = { ...this.#options, slot, database: identity.dbname, heard };
    const prepared = await prepareSlot(client, preparation, signal);
    if (prepared === null || signal.aborted) return;
    if (handover !== null) {
      const change = { end: handover, clock, log, signal, answerMs, askEveryMs: askEveryMs(this.#options) };
      if ((await takeOver(client, lock, change)) === null) return;
    }
    this.#published = prepared.published;
    this.#positions.start(prepared.confirmed);
    this.#askedAt = clock.now();
    this.#heardAt = this.#askedAt;
    const stream = client.query(startReplication(slot.name, prepared.confirmed, decoder.startOptions));
    stream.catch(() => undefined);
    this.#stage = "starting";
    try {
      await stream;
    } catch (error) {
      // P4: of a plugin that the server no longer trusts; the slot would hold WAL for nothing.
      if (sqlstateOf(error) === SQLSTATE.insufficientPrivilege)
        await dropSlot(client, preparation, toError(error).message);
      throw error;
    }
  }

  /**
   * P3: reported as late as possible, when the stream begins or creating its slot takes time. A session that ends before has
   * sent nothing that the next leader would send again.
   */
  #lead(heldAt: number): void {
    if (!this.#leads && this.#identity !== null) this.#listener.leading(this.#identity);
    this.#leads = true;
    this.#heard(heldAt);
  }

  #heard(at = this.#askedAt): void {
    this.#heardAt = Math.max(this.#heardAt, at);
    this.#listener.heard(at);
  }

  #bytesCame(): void {
    if (this.#stage !== "streaming") return;
    const now = this.#options.clock.now();
    if (now - this.#heardAt <= doubtMs(this.#options)) return this.#heard();
    this.#wasAsking = now - this.#askedAt <= 2 * askEveryMs(this.#options);
    this.#doubted.notify();
  }

  /** The server has accepted START_REPLICATION. */
  #begun(): void {
    this.#stage = "streaming";
    this.#lead(this.#askedAt);
    this.#listener.streaming();
    this.#options.begun();
  }

  #data(payload: Buffer): void {
    if (this.#stage !== "streaming") return;
    try {
      this.#decode(payload, this.#sink);
    } catch (error) {
      this.#unreadable(error instanceof PgnetdError ? error : unreadable(error));
    }
  }

  /** What follows would look whole without the message that could not be read, and must not be confirmed. */
  #unreadable(error: PgnetdError): void {
    this.#stage = "unreadable";
    this.#broken.reject(error);
  }

  readonly #sink: WalSink = {
    begin: (transaction) => {
      this.#positions.begin();
      this.#listener.begin(transaction);
    },
    relation: (table, oid) => {
      const { outbox } = this.#options;
      if (outbox !== undefined && table === outbox.table && oid !== outbox.oid) throw madeAnew();
    },
    insert: (table, row) => {
      if (table === INSTALLATION_TABLE) throw madeAnew();
      this.#listener.insert(table, row);
    },
    change: (table) => this.#listener.change(table),
    truncate: (table) => this.#listener.truncate(table),
    message: (content, position) => {
      if (position >= this.#begunAt) this.#listener.message(content);
    },
    commit: (endLsn) => {
      this.#positions.commit(endLsn);
      this.#listener.commit(endLsn);
    },
  };

  #keepalive(walEnd: string, shouldRespond: boolean): void {
    if (this.#stage !== "streaming") return;
    const before = this.#positions.received;
    const position = parseLsn(walEnd);
    this.#positions.keepalive(position);
    this.#listener.answered(position);
    if (!shouldRespond) return;
    // A server that waits for progress asks again as soon as none is reported: it is answered at once only with progress.
    const overdue = this.#options.clock.now() - this.#answeredAt > askEveryMs(this.#options);
    if (overdue || this.#positions.received > before) {
      this.#acknowledge(false).catch((error: unknown) => this.#broken.reject(toError(error)));
    }
  }

  async #acknowledge(ping: boolean): Promise<void> {
    this.#answeredAt = this.#options.clock.now();
    if (ping) {
      this.#askedAt = this.#answeredAt;
      this.#listener.asked();
    }
    this.#listener.received(this.#positions.received);
    await this.#service.acknowledge(formatLsn(acknowledgement(this.#positions.received)), ping);
  }
}
