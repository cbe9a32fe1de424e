import type pg from "pg";
import { LogicalReplicationService } from "pg-logical-replication";

import { AutoResetEvent } from "../base/auto-reset-event.ts";
import { PgnetdError, toError } from "../base/errors.ts";
import { type Loop, runLoops, stopped } from "../base/loops.ts";
import { socketOf } from "../pg/client.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import type { Decode, WalSink } from "../wal/events.ts";
import { takeOver } from "../leader/handover.ts";
import { takeLeaderLock } from "../leader/lock.ts";
import type { LockHolder } from "../leader/holder.ts";
import { formatLsn, parseLsn, ZERO_LSN } from "../pg/lsn.ts";
import { LARGEST_MESSAGE_BYTES } from "../wal/message-limit.ts";
import { Confirmations, type Confirmed } from "../wal/confirmations.ts";
import { acknowledgement, Positions } from "../wal/confirmed-position.ts";
import { INSTALLATION_TABLE } from "../wal/publication-check.ts";
import { defaultSlotName, startReplication } from "../slot/slot.ts";
import { dropSlot, prepareSlot } from "../slot/preparation.ts";
import { proveLead, type ProvenSession } from "./proof-of-lead.ts";
import type { ServerIdentity, SessionListener, SessionOptions } from "./session-options.ts";
import { type WatchedStream, watchPublications } from "./publication-watch.ts";
import { recreated, tooLarge, unreadable } from "./stream-failure.ts";
import {
  ask,
  bytesReceived,
  askEveryMs,
  doubtMs,
  endWithPeer,
  hangUp,
  limitMessages,
  readInTurns,
} from "../wal/wire.ts";

/** The server counts as busy until its position has not moved, and it has answered each time, for so long, in milliseconds. */
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

const BACKEND =
  "select pg_catalog.pg_backend_pid() as pid, pg_catalog.current_setting('synchronous_standby_names') as standbys";

class Session {
  readonly #options: SessionOptions;
  readonly #listener: SessionListener;
  readonly #service: LogicalReplicationService;
  readonly #decode: Decode;
  readonly #positions = new Positions();
  readonly #confirmations = new Confirmations();
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
  /** When the last status was sent. */
  #answeredAt = 0;
  /** When the server was asked first of the times that it has not answered; null where it has. */
  #unansweredAt: number | null = null;
  /** When the server was last asked for a sign of life, and when it was asked before something came from it. */
  #askedAt = 0;
  #heardAt = 0;
  #bytes = 0;
  #bytesAt = 0;
  /** The session's process on the server; null before it is known. */
  #pid: number | null = null;
  /** Commits may wait until this session has confirmed them, so nothing is left for receipts. */
  #isStandby = false;
  /** Something came after a silence, see `doubtMs`. */
  readonly #doubted = new AutoResetEvent();

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
    // P4: there is no next status to confirm the rest.
    if (this.#stage === "streaming") await this.#acknowledge(false, "everything");
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
      const isBusy = lookedAt - movedAt < BUSY_FOR_MS;
      const everyMs = askEveryMs(this.#options, isBusy);
      await clock.sleep(everyMs, signal);
      const isLate = clock.now() - lookedAt > 2 * everyMs;
      lookedAt = clock.now();
      if (signal.aborted || this.#stage === "preparing") continue;
      this.#lookForBytes();
      const { received } = this.#positions;
      if (received !== known || this.#unansweredAt !== null) movedAt = lookedAt;
      known = received;
      const livenessTimeoutMs = livenessTimeout.ms(received);
      if (clock.now() - Math.max(this.#heardAt, this.#bytesAt) > livenessTimeoutMs) {
        livenessTimeout.lost(received);
        throw new PgnetdError("STREAM_LOST", `nothing was heard from the server for ${livenessTimeoutMs} ms`);
      }
      // After a stall of this process, what came meanwhile is read first: it must not pass for the answer to a new question.
      if (this.#stage !== "streaming") continue;
      const unansweredMs = lookedAt - (this.#unansweredAt ?? lookedAt);
      // P3: an answer that comes so late may be doubted, and what the server has processed then must be known.
      const isLong = unansweredMs > doubtMs(this.#options) / 2;
      await this.#acknowledge(!isLate, isLong ? "another" : isBusy ? "busy" : "quiet");
    }
  }

  /** For the liveness timeout bytes count from when they came: after a stall of this process nothing is asked for, see `confirm`. */
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
    return proveLead({ db, session: this.#proven, doubted: this.#doubted, clock, log });
  }

  get #proven(): ProvenSession {
    return {
      pid: () => this.#pid,
      received: () => this.#positions.received,
      isDoubted: () => this.#isDoubted,
      confirmAnother: () => {
        if (!this.#confirmations.hasAnother(this.#positions.received)) return false;
        this.#answer("another");
        return true;
      },
      processed: (position) => {
        const at = this.#confirmations.sentAt(position);
        if (at !== null) this.#heard(at);
      },
      hadLock: (at) => this.#heard(at),
    };
  }

  async close(): Promise<void> {
    await hangUp(this.#client, () => this.#service.destroy(), this.#options.clock);
  }

  async #start(client: pg.Client, signal: AbortSignal): Promise<void> {
    const { senderTimeoutMs, lock, precedence, handover, clock, log, decoder } = this.#options;
    const { largestMessageBytes = LARGEST_MESSAGE_BYTES } = this.#options;
    this.#client = client;
    readInTurns(client);
    limitMessages(client, largestMessageBytes, (bytes) => this.#unreadable(tooLarge(bytes)));
    // A large message takes longer to come than the fence allows for silence.
    socketOf(client).prependListener("data", () => this.#bytesCame());
    await endWithPeer(client, senderTimeoutMs);
    const [backend] = await ask<{ pid: number; standbys: string }>(client, BACKEND, senderTimeoutMs);
    this.#pid = backend?.pid ?? null;
    this.#isStandby = backend !== undefined && backend.standbys !== "";
    // From PostgreSQL 16 on the timeline is an int8, which comes as text.
    const [identity] = await ask<{ systemid: string; timeline: number | string; xlogpos: string; dbname: string }>(
      client,
      "IDENTIFY_SYSTEM",
      senderTimeoutMs,
    );
    if (identity === undefined) throw new PgnetdError("STREAM_LOST", "IDENTIFY_SYSTEM returned nothing");
    this.#begunAt = parseLsn(identity.xlogpos);
    const server = { systemId: identity.systemid, timeline: Number(identity.timeline), end: this.#begunAt };
    this.#identity = server;
    const answerMs = senderTimeoutMs;
    if (handover === null) {
      const waiting = (holder: LockHolder | null): void => this.#listener.standby(holder, server);
      const wait = { precedence, clock, signal, waiting, answerMs };
      if ((await takeLeaderLock(client, lock, wait)) === null) return;
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
    this.#confirmations.start(prepared.confirmed);
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
    if (this.#isDoubted) this.#doubted.notify();
    else this.#heard();
  }

  get #isDoubted(): boolean {
    return this.#stage === "streaming" && this.#options.clock.now() - this.#heardAt > doubtMs(this.#options);
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
      if (outbox !== undefined && table === outbox.table && oid !== outbox.oid) throw recreated();
    },
    insert: (table, row) => {
      if (table === INSTALLATION_TABLE) throw recreated();
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
    const position = parseLsn(walEnd);
    this.#positions.keepalive(position);
    this.#unansweredAt = null;
    this.#listener.answered(position);
    if (!shouldRespond) return;
    // A server that waits for progress, to stop, asks again as soon as none is reported: it is answered at once only with progress.
    if (this.#options.clock.now() - this.#answeredAt > askEveryMs(this.#options)) this.#answer("another");
    else if (this.#confirmations.hasAnother(this.#positions.received))
      this.#answer(this.#isDoubted ? "another" : "everything");
  }

  #answer(what: Confirmed): void {
    this.#acknowledge(false, what).catch((error: unknown) => this.#broken.reject(toError(error)));
  }

  async #acknowledge(ping: boolean, what: Confirmed): Promise<void> {
    const now = this.#options.clock.now();
    this.#answeredAt = now;
    if (ping) {
      this.#askedAt = now;
      this.#unansweredAt ??= now;
      this.#listener.asked();
    }
    const { received } = this.#positions;
    this.#listener.received(received);
    const position = this.#confirmations.next(received, this.#isStandby ? "everything" : what, now);
    await this.#service.acknowledge(formatLsn(acknowledgement(position)), ping);
  }
}
