import { PgnetdError, toError } from "../base/errors.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

/**
 * Classes of SQLSTATE of a stream whose rows the server itself cannot bring: what they are, what they take (a row that is
 * larger as text than a message may be), what is left of the WAL, and anything unforeseen.
 */
const UNBRINGABLE: ReadonlySet<string> = new Set(["22", "54", "58", "XX"]);

/** A transaction is put together on the server's disk and in its memory before it is brought: where it does not fit, it does not the next time. */
const UNFIT: ReadonlySet<string | null> = new Set([SQLSTATE.diskFull, SQLSTATE.outOfMemory]);

/**
 * P4: true where another try would meet the same again, and so hold back WAL without end. Besides what pgnetd or the
 * server cannot read that is a publication dropped and recreated: a slot reads the past with the catalog of that time, in
 * which the old one is missing.
 */
export function needsNewSlot(error: unknown, hasBegun: boolean): boolean {
  const isUnreadable = error instanceof PgnetdError && error.code === "STREAM_UNREADABLE";
  const sqlstate = sqlstateOf(error);
  const isUnbringable = UNBRINGABLE.has(sqlstate?.slice(0, 2) ?? "") || UNFIT.has(sqlstate);
  return isUnreadable || sqlstate === SQLSTATE.undefinedObject || (hasBegun && isUnbringable);
}

/** Something in the stream cannot be decoded. P11: where JSON cannot be parsed, the parser's message quotes it. */
export function unreadable(cause: unknown): PgnetdError {
  const why = cause instanceof SyntaxError ? "a message is not the JSON that it should be" : toError(cause).message;
  return new PgnetdError("STREAM_UNREADABLE", `the stream could not be read: ${why}`, { cause });
}

/** A message is larger than pgnetd reads (P5). */
export function tooLarge(bytes: number): PgnetdError {
  return new PgnetdError("STREAM_UNREADABLE", `the stream has a message of ${bytes} bytes`, {
    hint: "The slot is recreated, past that message: a request too large to be sent, or a logical message of somebody.",
  });
}

/** The ids of the outbox start over: rows that came before mean other requests. */
export function recreated(): PgnetdError {
  return new PgnetdError("STREAM_LOST", "the tables of schema net were recreated");
}
