import { SQLSTATE } from "../../src/pg/sqlstate.ts";
import type { Span } from "./journal.ts";
import { type Call, stopsServer } from "./steps.ts";

/** A call that failed. */
export interface FailedCall {
  readonly call: Call;
  /** Null where the connection has none, such as one that was reset. */
  readonly sqlstate: string | null;
  /** When it was asked for, and when it failed, in milliseconds since the epoch. */
  readonly from: number;
  readonly until: number;
}

/** After the server is back a call may still find a connection of before, in milliseconds. */
const RECOVERY_MS = 10_000;

/** What says that the server goes away, is not there, or does not take connections yet. */
const AWAY = /^(08|57P)/;

/** P9: true where the call failed since the server went away under it, or since others of the callers held locks or were quicker. */
export function isExcused(failed: FailedCall, spans: readonly Span[]): boolean {
  const { call, sqlstate, from, until } = failed;
  if (sqlstate !== null && contentionOf(call).includes(sqlstate)) return true;
  if (sqlstate !== null && !AWAY.test(sqlstate)) return false;
  return spans.some((span) => stopsServer(span.fault) && span.from <= until && span.until + RECOVERY_MS >= from);
}

/** What a call may fail with where others hold locks, or have done the same, and nobody tries again. */
function contentionOf(call: Call): readonly string[] {
  switch (call.kind) {
    case "insert":
      // Deduplication keys are locked in the order in which a transaction uses them.
      return call.shape.deduplicated ? [SQLSTATE.deadlockDetected] : [];
    case "cancel":
      return [SQLSTATE.deadlockDetected];
    case "truncate":
      return [SQLSTATE.deadlockDetected, SQLSTATE.lockNotAvailable];
    case "replay":
      return [SQLSTATE.deadlockDetected, SQLSTATE.uniqueViolation, SQLSTATE.noDataFound];
    case "host settings":
    case "worker restart":
    case "wake":
      return [];
  }
}
