import type { ConnectionOptions, SentStatement, SimulatedClient, StatementResult } from "../client.ts";
import { formatLsn, lsn } from "../../../src/pg/lsn.ts";
import { Link, type Latency } from "../link.ts";
import { Random } from "../random.ts";
import { after, currentProcess, type Process, virtualNow } from "../virtual-time.ts";
import { Database, type LogEntry, type Row, type Transaction } from "./database.ts";
import { refusal } from "./errors.ts";
import { Locks } from "./locks.ts";
import { Session } from "./session.ts";
import type { Slot } from "./slot.ts";
import { statementOf } from "./statements.ts";
import { WalSender } from "./wal-sender.ts";

/** Limits of a host, as `net.http_host_settings` has them. */
export interface HostRow {
  readonly rate_per_second: number | null;
  readonly concurrency: number | null;
  readonly paused: boolean;
}

/** What one history's server is like. */
export interface ServerProfile {
  readonly latency: Latency;
  /** A statement takes at most so long, in milliseconds. */
  readonly statementMs: number;
  /** Decoding of a commit takes at most so long, in milliseconds. */
  readonly decodeMs: number;
  /** Commits wait at most so long for a synchronous standby, in milliseconds; 0 without one. */
  readonly standbyMs: number;
  /** Lanes that one sweep reads. */
  readonly mostLanes: number;
}

/** Told of what only the server sees. */
export interface ServerWatcher {
  /** A process has the answer to its question for the settings of hosts, which were these when it was answered. */
  hostsRead(process: Process, hosts: ReadonlyMap<string, HostRow>, at: number): void;
  /** A process reports what it has queued of lanes. */
  lanesReported(process: Process, lanes: readonly string[], queued: readonly number[]): void;
  /** A process has received the truncation of these rows. */
  truncated(process: Process, rows: readonly Row[]): void;
}

/** A PostgreSQL server, as far as pgnetd asks it. */
export class Server {
  readonly database: Database;
  readonly locks = new Locks();
  readonly profile: ServerProfile;
  readonly #random: Random;
  readonly sessions = new Set<Session>();
  /** All connections so far. */
  readonly links: Link[] = [];
  slot: Slot | null = null;
  readonly hosts = new Map<string, HostRow>();
  watcher: ServerWatcher | null = null;
  /** True where some destination does not answer soon. */
  hangs: () => boolean = () => false;
  /** Connections are refused until then. */
  downUntil = 0;
  /** Statements that write fail with this SQLSTATE. */
  writesFail: string | null = null;
  readsFail: string | null = null;
  /** Answers to write statements that are lost from now on: the connection ends in their place. */
  answersToLose = 0;
  #isWrite = new WeakSet<Session>();
  /** The publications were made by this position of the log. */
  publishedFrom = 0n;
  published = 1;
  #nextPid = 100;
  /** How many statements of each name were executed. */
  readonly statements = new Map<string, number>();
  /** What pgnetd asked or told that it should not. */
  readonly harms: string[] = [];
  /** When sessions were ended whose clients had done nothing wrong: a leader hears of it later than the next one. */
  readonly stops: number[] = [];

  constructor(profile: ServerProfile, random: Random) {
    this.profile = profile;
    this.#random = random;
    this.database = new Database(random);
    this.database.flushed = () => {
      for (const { walSender } of this.sessions) walSender?.wake();
    };
  }

  readonly connect = (
    client: SimulatedClient,
    { application, isReplication }: ConnectionOptions,
  ): { link: Link; session: Session } | null => {
    const owner = currentProcess();
    if (owner === null || this.isDown) return null;
    const link = new Link(owner, this.profile.latency, new Random(this.#random.int(0, 0xffffffff)));
    const session = new Session(this, link, client, { pid: this.#nextPid++, application, isReplication });
    this.links.push(link);
    link.join(client, session);
    link.toServer(() => {
      this.sessions.add(session);
      link.toClient(() => client.accepted(null));
    });
    return { link, session };
  };

  get isDown(): boolean {
    return virtualNow() < this.downUntil;
  }

  execute(
    session: Session,
    statement: SentStatement,
    answer: (error: Error | null, result: StatementResult | null) => void,
  ): void {
    const kind = statementOf(statement);
    const answered = (error: Error | null, rows: readonly Readonly<Record<string, unknown>>[] | null): void => {
      answer(error, rows === null ? null : { rows, rowCount: rows.length });
    };
    if (kind === null) {
      this.harms.push(`the simulator does not know the statement ${statement.name ?? statement.text.slice(0, 200)}`);
      answered(refusal("0A000", "unknown"), null);
      return;
    }
    this.statements.set(kind.name, (this.statements.get(kind.name) ?? 0) + 1);
    const fault = kind.writes ? this.writesFail : kind.reads ? this.readsFail : null;
    if (kind.writes) this.#isWrite.add(session);
    else this.#isWrite.delete(session);
    after(this.duration(), null, () => {
      // What a session does to itself it does not after its end; what it does to tables it does.
      if (!session.isAlive && !kind.writes) return;
      if (fault !== null) return answered(refusal(fault, "the server has a fault"), null);
      kind.execute({ server: this, session, statement, answer: answered });
    });
  }

  /** How long one part of a statement takes, in milliseconds. */
  duration(): number {
    return 0.02 + this.#random.next() ** 4 * this.profile.statementMs;
  }

  /** Commits `transaction`; calls `done` when it is visible. */
  commit(transaction: Transaction, done: () => void = () => undefined, flushMs: number | null = null): void {
    if (transaction.stage !== "open") return;
    this.database.record(transaction, flushMs);
    const reveal = (): void => {
      if (transaction.stage === "recorded") this.database.reveal(transaction);
      if (transaction.stage === "visible") done();
    };
    const waitMs = this.#random.chance(0.5) ? this.#random.next() ** 2 * this.profile.standbyMs : 0;
    if (waitMs === 0) reveal();
    else after(waitMs, null, reveal);
  }

  losesAnswer(session: Session): boolean {
    if (this.answersToLose === 0 || !this.#isWrite.has(session)) return false;
    this.answersToLose--;
    return true;
  }

  /** The session has ended. */
  ended(session: Session): void {
    this.sessions.delete(session);
    this.locks.unlockAll(session);
    if (this.slot?.active === session) {
      this.slot.active = null;
      if (this.slot.isTemporary) this.slot = null;
    }
  }

  startReplication(session: Session, from: bigint): void {
    const { slot } = this;
    if (slot === null) return;
    slot.active = session;
    const start = from > slot.confirmed ? from : slot.confirmed;
    session.walSender = new WalSender(this, session, start, new Random(this.#random.int(0, 0xffffffff)));
    session.walSender.wake();
  }

  confirmed(position: bigint, session: Session): void {
    const { slot } = this;
    if (slot?.active !== session) return;
    if (position > this.database.flushedLsn) this.harms.push(`confirmed ${position} beyond what was written`);
    if (position > slot.confirmed) slot.confirmed = position;
    if (this.#random.chance(0.3)) slot.persisted = slot.confirmed;
  }

  /** What others see of the session of process `pid`: whether it has one of these locks, and what it has processed last. */
  leadOf(pid: unknown, classIds: readonly string[]): { readonly leads: boolean; readonly confirmed: string | null } {
    const leads = classIds.some((classId) => this.locks.holderOf(`${classId} 0`)?.pid === pid);
    const { slot } = this;
    return { leads, confirmed: slot !== null && slot.active?.pid === pid ? formatLsn(lsn(slot.confirmed)) : null };
  }

  /** True where the output plugin finds no publication for what is in the log there. */
  isUnpublished({ commitLsn, transaction }: LogEntry): boolean {
    return commitLsn < this.publishedFrom && transaction.rows.length > 0;
  }

  /** Ends all sessions, and takes no new ones for `ms`. */
  stop(ms: number): void {
    this.stops.push(virtualNow());
    this.downUntil = virtualNow() + ms;
    for (const session of this.sessions) session.end("57P02");
  }

  /** Sessions of one process. */
  sessionsOf(process: Process): readonly Session[] {
    return [...this.sessions].filter(({ link }) => link.owner === process);
  }
}
