import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Completion } from "./completion.ts";
import type { WriteFailure } from "./write-failure.ts";

const WAITS = { firstMs: 50, maxMs: 1_000 };
/** Rows that were refused or are tried again, and deadlocks, are reported at most so often, with their number. */
const REPORT_EVERY_MS = 60_000;

/**
 * Failed writes: how long to wait before the next one, and what is said about them, once for each change.
 *
 * - *no outage*: until `failed`.
 * - *an outage lasts*: until a write of each kind that failed has `succeeded`, or the database was seen to take others of that kind.
 */
export class Outage {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Codes said so far in this outage; empty without one. */
  readonly #codes = new Set<string>();
  /** When the last write of each kind failed, until one of that kind succeeds: the others may need other rights and tables. */
  readonly #failedAt = new Map<Completion["kind"], number>();
  /** Why the last write failed, and what mends it. */
  #why = "";
  /** Failed writes of this outage, and when the first of them was. */
  #attempts = 0;
  #since = 0;
  /** Since the last report. */
  readonly #refusals = { count: 0, reportedAt: Number.NEGATIVE_INFINITY };
  readonly #delays = { count: 0, reportedAt: Number.NEGATIVE_INFINITY };
  readonly #deadlocks = { count: 0, reportedAt: Number.NEGATIVE_INFINITY };

  constructor({ log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.#log = log;
    this.#clock = clock;
  }

  /** True while an outage lasts. */
  get lasts(): boolean {
    return this.#failedAt.size > 0;
  }

  /** Why results cannot be written, while that `lasts`. */
  get reason(): string | null {
    return this.lasts ? this.#why : null;
  }

  /** A write of `kind` failed. Returns the wait before the next try, in milliseconds. */
  failed(kind: Completion["kind"], failure: WriteFailure): number {
    const now = this.#clock.now();
    if (!this.lasts) this.#since = now;
    this.#failedAt.set(kind, now);
    this.#why = `${failure.message}. ${failure.hint}`;
    if (!this.#codes.has(failure.code)) {
      this.#codes.add(failure.code);
      const { code, message, hint } = failure;
      this.#log.error(
        { code, error: message, hint },
        "results cannot be written: they are kept, and no request starts",
      );
    }
    this.#attempts += 1;
    return backoffMs(this.#attempts - 1, WAITS);
  }

  /** A write of `kind`, begun at `startedAt`, succeeded. One begun before the last failure says nothing of what came after. */
  succeeded(kind: Completion["kind"], startedAt: number): void {
    const failedAt = this.#failedAt.get(kind);
    if (failedAt === undefined || startedAt < failedAt) return;
    this.#failedAt.delete(kind);
    if (this.lasts) return;
    const durationMs = Math.round(this.#clock.now() - this.#since);
    this.#log.info({ durationMs, attempts: this.#attempts }, "results are written again");
    this.#codes.clear();
    this.#attempts = 0;
  }

  /** The database refused one row for what is in it. P11: the server's message may quote that, so it is not logged. */
  refused({ code }: WriteFailure): void {
    const rows = this.#due(this.#refusals);
    const hint = "See error_msg in net._http_response; look for constraints and triggers on that table.";
    if (rows > 0) this.#log.warn({ code, rows, hint }, "answers could not be stored as they are");
  }

  /** One row could not be stored for a reason that may pass, and others could. */
  delayed({ code }: WriteFailure): void {
    const rows = this.#due(this.#delays);
    const hint =
      "Look for triggers on the tables of schema net, and for what these wait for: other servers, or locks (pg_locks, pg_stat_activity).";
    if (rows > 0) this.#log.warn({ code, rows, hint }, "answers could not be stored for now: they are tried again");
  }

  /** Another session waited for this write, and this write for it. The database ended it, and it is tried again at once. */
  deadlocked(): void {
    const times = this.#due(this.#deadlocks);
    if (times > 0) this.#log.info({ times }, "results are written again after a deadlock with another session");
  }

  /** Counts one; how many to report now, 0 where that was done lately. */
  #due(reports: { count: number; reportedAt: number }): number {
    const now = this.#clock.now();
    reports.count += 1;
    if (now - reports.reportedAt < REPORT_EVERY_MS) return 0;
    const { count } = reports;
    reports.reportedAt = now;
    reports.count = 0;
    return count;
  }
}
