import { after, virtualNow } from "../virtual-time.ts";
import type { Random } from "../random.ts";
import type { LogEntry, Transaction } from "./database.ts";
import { refusal } from "./errors.ts";
import { keepalive, messagesOf, walData } from "./pgoutput.ts";
import type { Server } from "./server.ts";
import type { Session } from "./session.ts";

/** Sends the log to one session from `START_REPLICATION` on. */
export class WalSender {
  readonly #server: Server;
  readonly #session: Session;
  readonly #random: Random;
  /** Position in the log of the next entry. */
  #next: number;
  /** The log that the position is of. */
  readonly #log: Server["database"]["log"];
  #sentLsn: bigint;
  readonly #describe = new Set(["outbox", "settings"]);
  #isPlanned = false;
  #busyUntil = 0;
  #repliedAt = virtualNow();
  #hasAsked = false;
  #ended = false;

  constructor(server: Server, session: Session, from: bigint, random: Random) {
    this.#server = server;
    this.#session = session;
    this.#random = random;
    this.#log = server.database.log;
    this.#next = this.#log.findIndex(({ commitLsn }) => commitLsn >= from);
    if (this.#next === -1) this.#next = this.#log.length;
    this.#sentLsn = from;
    this.#watch();
  }

  /** There may be more to send. */
  wake(): void {
    if (this.#isPlanned || this.#ended) return;
    this.#isPlanned = true;
    const ms = Math.max(
      0.05 + this.#random.next() ** 4 * this.#server.profile.decodeMs,
      this.#busyUntil - virtualNow(),
    );
    after(ms, null, () => {
      this.#isPlanned = false;
      if (!this.#ended) this.#send();
    });
  }

  #send(): void {
    const { database } = this.#server;
    const chunk: Buffer[] = [];
    for (let entry = this.#log[this.#next]; entry !== undefined; entry = this.#log[this.#next]) {
      if (entry.endLsn > database.flushedLsn) break;
      const { transaction, endLsn } = entry;
      if (transaction.decodeMs > 0 && this.#busyUntil < virtualNow()) {
        this.#deliver(chunk);
        this.#busyUntil = virtualNow() + transaction.decodeMs;
        this.wake();
        return;
      }
      if (this.#server.isUnpublished(entry)) {
        this.#session.link.toClient(() =>
          this.#session.client.answered(refusal("42704", 'publication "pgnetd_outbox" does not exist'), null),
        );
        this.#session.terminate();
        return;
      }
      this.#next++;
      this.#sentLsn = endLsn;
      for (const message of this.#isEmpty(entry) ? [] : messagesOf(transaction, endLsn, this.#describe)) {
        chunk.push(walData(entry.commitLsn, message));
        if (this.#random.chance(0.3)) this.#deliver(chunk);
      }
      this.#watchTruncation(transaction, chunk);
      if (this.#random.chance(0.5)) this.#deliver(chunk);
    }
    this.#deliver(chunk);
    this.#sentLsn = database.flushedLsn > this.#sentLsn ? database.flushedLsn : this.#sentLsn;
  }

  #watchTruncation({ streamed }: Transaction, chunk: Buffer[]): void {
    const { link } = this.#session;
    for (const change of streamed) {
      if (change.kind !== "truncate") continue;
      this.#deliver(chunk);
      link.toClient(() => this.#server.watcher?.truncated(link.owner, change.rows));
    }
  }

  #isEmpty({ transaction: { rows, streamed, message } }: LogEntry): boolean {
    return rows.length === 0 && streamed.length === 0 && message === null;
  }

  #deliver(chunk: Buffer[]): void {
    if (chunk.length === 0) return;
    const bytes = Buffer.concat(chunk);
    chunk.length = 0;
    this.#toClient(bytes);
  }

  #toClient(bytes: Buffer): void {
    const { client } = this.#session;
    this.#session.link.toClient(() => client.connection.stream.receive(bytes));
  }

  /** A status update: https://www.postgresql.org/docs/current/protocol-replication.html */
  received(chunk: Buffer): void {
    if (this.#ended || chunk[0] !== 0x72) return;
    if (virtualNow() < this.#busyUntil) {
      after(this.#busyUntil - virtualNow() + 0.01, null, () => this.received(chunk));
      return;
    }
    this.#repliedAt = virtualNow();
    this.#hasAsked = false;
    this.#server.confirmed(chunk.readBigUInt64BE(9), this.#session);
    if (chunk[33] === 1) this.#toClient(keepalive(this.#sentLsn, false));
  }

  /** `wal_sender_timeout`: after half of it without a word the client is asked, after the whole the session ends. */
  #watch(): void {
    const { senderTimeoutMs } = this.#session;
    after(senderTimeoutMs / 4, null, () => {
      if (this.#ended) return;
      const silentMs = virtualNow() - Math.max(this.#repliedAt, this.#busyUntil);
      if (silentMs >= senderTimeoutMs) return this.#session.end(null);
      if (silentMs >= senderTimeoutMs / 2 && !this.#hasAsked) {
        this.#hasAsked = true;
        this.#toClient(keepalive(this.#sentLsn, true));
      }
      this.#watch();
    });
  }

  end(): void {
    this.#ended = true;
  }
}
