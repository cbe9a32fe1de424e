import type { Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { LimitsReferee } from "./limits-referee.ts";
import type { Row } from "./server/database.ts";
import type { HostRow, Server, ServerWatcher } from "./server/server.ts";
import { type Process, virtualNow } from "./virtual-time.ts";
import { WaitReferee } from "./wait-referee.ts";

/** One start of a request. */
export interface Sent {
  readonly process: Process;
  readonly at: number;
  readonly attempt: number;
  readonly host: string;
  /** It was ended by its sender: whoever leads next sends it again. */
  isVoid: boolean;
}

/** What is known of one request. */
export interface RequestRecord {
  readonly row: Row;
  readonly sends: Sent[];
  key: string | null;
  /** Processes that received the truncation which ended it. */
  readonly truncatedFor: Set<Process>;
}

/** Limits of one history. */
export interface Limits {
  readonly perSecond: number | "unlimited";
  readonly concurrency: number;
  readonly perHost: number;
  readonly perLane: number;
  readonly memoryRequests: number;
}

/** What happened on the way may have its effect for so long, in milliseconds. */
const STOP_EFFECT_MS = 5_000;

/** Counts every request, and says what should not have happened. */
export class Referee implements ServerWatcher {
  readonly harms: string[] = [];
  readonly #server: Server;
  readonly #limits: LimitsReferee;
  readonly #waits: WaitReferee;
  readonly records = new Map<string, RequestRecord>();
  /** Since when each process has had the leader's lock without a break. */
  readonly leadSince = new Map<Process, number>();
  /** Requests started. */
  started = 0;
  /** Told of each start. */
  trace: ((line: string) => void) | null = null;

  constructor(server: Server, limits: Limits) {
    this.#server = server;
    const harm = (what: string): void => this.harm(what);
    this.#limits = new LimitsReferee(limits, harm);
    this.#waits = new WaitReferee(server, limits, harm);
    server.database.made = (row) =>
      this.records.set(row.created, { row, sends: [], key: null, truncatedFor: new Set() });
    server.locks.held = (session) => this.#leads(session?.link.owner ?? null);
    server.watcher = this;
  }

  harm(what: string): void {
    this.harms.push(`${what} (at ${Math.round(virtualNow())} ms)`);
  }

  /** Until `until` requests may wait for what happened. */
  disturbed(until: number): void {
    this.#waits.disturbed(until);
    this.#limits.fault(until);
  }

  hostsRead(process: Process, hosts: ReadonlyMap<string, HostRow>, at: number): void {
    this.#limits.hostsRead(process, hosts, at);
  }

  lanesReported(process: Process, lanes: readonly string[], queued: readonly number[]): void {
    this.#limits.lanesReported(process, lanes, queued);
  }

  truncated(process: Process, rows: readonly Row[]): void {
    for (const { created } of rows) this.records.get(created)?.truncatedFor.add(process);
  }

  #leads(process: Process | null): void {
    for (const other of this.leadSince.keys()) if (other !== process) this.leadSince.delete(other);
    if (process === null || this.leadSince.has(process)) return;
    this.leadSince.set(process, virtualNow());
    this.#limits.leads(process);
    this.#waits.disturbed(virtualNow());
  }

  /** True where this try of the request is to fail. */
  fails(request: Request): boolean {
    const record = this.records.get(request.created);
    return record !== undefined && request.attempts < record.row.shape.failures;
  }

  /** A process starts a request, `load` requests being in its memory. */
  sent(process: Process, request: Request, key: string | null): Sent {
    const at = virtualNow();
    const host = URL.parse(request.url)?.hostname ?? "";
    const sent: Sent = { process, at, attempt: request.attempts, host, isVoid: false };
    const record = this.records.get(request.created);
    this.started++;
    this.trace?.(`${Math.round(at)} ms: ${process.name} sends request ${request.id}`);
    if (record === undefined || record.row.id !== request.id) {
      this.harm(`request ${request.id} was sent, which nobody made`);
      return sent;
    }
    this.#judge(record, sent, key);
    this.#judgeLead(sent);
    if (record.sends.length === 0) this.#waits.sent(record, this.records.values());
    record.sends.push(sent);
    this.#limits.started(sent, this.leadSince.get(process) ?? null, this.#hasStopped(at));
    return sent;
  }

  #judge(record: RequestRecord, sent: Sent, key: string | null): void {
    const { row, sends } = record;
    if (row.by.commitLsn === 0n) this.harm(`P1: request ${row.id} was sent before its commit`);
    if (record.key !== null && record.key !== key) this.harm(`P3: request ${row.id} has another key`);
    record.key = key;
    if (row.end === "cancelled" && record.truncatedFor.has(sent.process)) {
      this.harm(`request ${row.id} was sent after its truncation was received`);
    }
    // The retry of another may be written while this try is on its way.
    const isOwn = row.deferredBy === null || row.deferredBy === sent.process;
    if (isOwn && row.nextAttemptAt !== null && row.nextAttemptAt > sent.at + 1) {
      this.harm(`request ${row.id} was sent too early`);
    }
    const since = this.leadSince.get(sent.process) ?? 0;
    if (row.end !== null && row.end !== "cancelled" && row.endedAt < since) {
      this.harm(`P3: request ${row.id} was sent after its result was stored`);
    }
    const repeated = sends.find((one) => !one.isVoid && one.attempt === sent.attempt);
    if (repeated !== undefined && !this.#mayRepeat(repeated, sent)) {
      this.harm(`P3: request ${row.id} was sent twice, at ${Math.round(repeated.at)} and again`);
    }
  }

  #mayRepeat(before: Sent, sent: Sent): boolean {
    if (this.#server.stops.some((at) => at >= before.at - STOP_EFFECT_MS && at <= sent.at)) return true;
    return before.process !== sent.process && before.at <= (this.leadSince.get(sent.process) ?? sent.at);
  }

  /** A leader whose session the server ends does not hear of it before the next one leads, or its fence comes. */
  #hasStopped(at: number): boolean {
    return this.#server.stops.some((stop) => at - stop < STOP_EFFECT_MS);
  }

  /** P3: two never start requests at once. */
  #judgeLead({ process, at }: Sent): void {
    const leader = [...this.leadSince.keys()][0];
    if (leader === undefined || leader === process || this.#hasStopped(at)) return;
    this.harm(`P3: ${process.name} starts a request while ${leader.name} leads`);
  }

  ended(sent: Sent, outcome: Outcome): void {
    if (outcome.kind === "failed" && outcome.code === "aborted") sent.isVoid = true;
    this.#limits.ended(sent);
  }

  /** `load` requests are in the memory of a process. */
  loaded(process: Process, load: number): void {
    this.#limits.loaded(process, load);
  }

  /** Rows that are visible and wait. */
  waiting(): readonly Row[] {
    return [...this.#server.database.outbox.values()].filter((row) => this.#server.database.isVisible(row));
  }

  get isAnyWaiting(): boolean {
    const { database } = this.#server;
    return database.outbox.values().some((row) => database.isVisible(row));
  }

  /** Says what was lost. */
  finish(): void {
    for (const row of this.waiting()) this.harm(`P2: request ${row.id} of lane ${row.lane} still waits`);
  }
}
