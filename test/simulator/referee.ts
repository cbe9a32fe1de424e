import type { Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import type { Row } from "./server/database.ts";
import type { Server } from "./server/server.ts";
import { type Process, virtualNow } from "./virtual-time.ts";

/** One start of a request. */
export interface Sent {
  readonly process: Process;
  readonly at: number;
  readonly attempt: number;
  /** Not sent whole, or not for long: whoever leads next sends it again. */
  isVoid: boolean;
  isOver: boolean;
}

interface Record {
  readonly row: Row;
  readonly sends: Sent[];
  key: string | null;
  /** A truncation that ended it was received. */
  isTruncated: boolean;
}

/** Limits of one history. */
export interface Limits {
  readonly perSecond: number | "unlimited";
  readonly concurrency: number;
  readonly perHost: number;
}

/** Counts every request, and says what should not have happened. */
export class Referee {
  readonly harms: string[] = [];
  readonly #server: Server;
  readonly #limits: Limits;
  readonly records = new Map<string, Record>();
  readonly #inFlight = new Map<Process, number>();
  readonly #starts: number[] = [];
  /** Processes that have started a request in their present leadership. */
  readonly #hasStarted = new Set<Process>();
  /** Since when each process has had the leader's lock without a break. */
  readonly leadSince = new Map<Process, number>();
  /** Requests started. */
  started = 0;
  /** Told of each start. */
  trace: ((line: string) => void) | null = null;

  constructor(server: Server, limits: Limits) {
    this.#server = server;
    this.#limits = limits;
    server.database.made = (row) => this.records.set(row.created, { row, sends: [], key: null, isTruncated: false });
    server.locks.held = (session) => this.#leads(session?.link.owner ?? null);
  }

  harm(what: string): void {
    this.harms.push(`${what} (at ${Math.round(virtualNow())} ms)`);
  }

  #leads(process: Process | null): void {
    for (const other of this.leadSince.keys()) if (other !== process) this.leadSince.delete(other);
    if (process === null || this.leadSince.has(process)) return;
    this.leadSince.set(process, virtualNow());
    this.#hasStarted.delete(process);
  }

  /** True where this try of the request is to fail. */
  fails(request: Request): boolean {
    const record = this.records.get(request.created);
    return record !== undefined && request.attempts < record.row.shape.failures;
  }

  sent(process: Process, request: Request, key: string | null): Sent {
    const now = virtualNow();
    const sent: Sent = { process, at: now, attempt: request.attempts, isVoid: false, isOver: false };
    const record = this.records.get(request.created);
    this.started++;
    if (record === undefined || record.row.id !== request.id) {
      this.harm(`request ${request.id} was sent, which nobody made`);
      return sent;
    }
    this.trace?.(`${Math.round(now)} ms: ${process.name} sends request ${request.id}`);
    this.#judge(record, sent, key);
    record.sends.push(sent);
    this.#judgeRate(process, now);
    const inFlight = (this.#inFlight.get(process) ?? 0) + 1;
    this.#inFlight.set(process, inFlight);
    if (inFlight > this.#limits.concurrency) this.harm(`${inFlight} requests are in flight`);
    return sent;
  }

  #judge(record: Record, sent: Sent, key: string | null): void {
    const { row, sends } = record;
    if (row.by.commitLsn === 0n) this.harm(`P1: request ${row.id} was sent before its commit`);
    if (record.key !== null && record.key !== key) this.harm(`P3: request ${row.id} has another key`);
    record.key = key;
    if (record.isTruncated) this.harm(`request ${row.id} was sent after its truncation was received`);
    if (row.nextAttemptAt !== null && row.nextAttemptAt > sent.at + 1)
      this.harm(`request ${row.id} was sent too early`);
    const since = this.leadSince.get(sent.process) ?? sent.at;
    if (row.end !== null && row.end !== "cancelled" && row.endedAt < since) {
      this.harm(`P3: request ${row.id} was sent after its result was stored`);
    }
    const repeated = sends.find((one) => !one.isVoid && one.attempt === sent.attempt);
    if (repeated !== undefined && !this.#mayRepeat(repeated, sent)) {
      this.harm(`P3: request ${row.id} was sent twice, at ${Math.round(repeated.at)} and again`);
    }
    this.#judgeLead(sent);
  }

  #mayRepeat(before: Sent, sent: Sent): boolean {
    if (this.#server.stops.some((at) => at >= before.at - 5_000 && at <= sent.at)) return true;
    return before.process !== sent.process && before.at <= (this.leadSince.get(sent.process) ?? sent.at);
  }

  /** P3: two never start requests at once; but for a server that stops, after which a leader that does not hear of it goes on until its fence. */
  #judgeLead({ process, at }: Sent): void {
    const leader = [...this.leadSince.keys()][0];
    if (leader === undefined || leader === process) return;
    if (this.#server.stops.some((stop) => at - stop < 5_000)) return;
    this.harm(`P3: ${process.name} starts a request while ${leader.name} leads`);
  }

  /** P7: over any second; the first start of a leadership goes at once, whatever the one before has sent. */
  #judgeRate(process: Process, now: number): void {
    const { perSecond } = this.#limits;
    if (perSecond === "unlimited") return;
    if (!this.#hasStarted.has(process)) {
      this.#hasStarted.add(process);
      return;
    }
    if (this.#server.stops.some((at) => now - at < 5_000)) return;
    const before = this.#starts[this.#starts.length - perSecond];
    if (before !== undefined && now - before < 1_000) this.harm(`P7: more than ${perSecond} requests in a second`);
    this.#starts.push(now);
  }

  ended(sent: Sent, outcome: Outcome): void {
    sent.isOver = true;
    if (outcome.kind === "failed" && (outcome.code === "aborted" || outcome.code === "shortage")) sent.isVoid = true;
    this.#inFlight.set(sent.process, (this.#inFlight.get(sent.process) ?? 1) - 1);
  }

  /** Rows that are visible and wait. */
  waiting(): readonly Row[] {
    return [...this.#server.database.outbox.values()].filter((row) => this.#server.database.isVisible(row));
  }

  /** Says what was lost. */
  finish(): void {
    for (const row of this.waiting()) this.harm(`P2: request ${row.id} of lane ${row.lane} still waits`);
  }
}
