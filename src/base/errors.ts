/** What stops the service or a part of it, what happens next, and what the operator can do. */
const POLICY = {
  CONFIG_INVALID: { retry: false, exitCode: 78, hint: "Fix the setting named in the message." },
  LISTEN_FAILED: { retry: false, exitCode: 69, hint: "Free the port, or choose another one." },
  USAGE: { retry: false, exitCode: 64, hint: "See pgnetd --help." },
  PG_UNREACHABLE: { retry: true, exitCode: 69, hint: "Check that Postgres is up and that DATABASE_URL points to it." },
  PG_REFUSED: {
    retry: true,
    exitCode: 77,
    hint: "Check user, password and pg_hba.conf for the database in DATABASE_URL. A daemon that runs needs a restart for a new password.",
  },
  SCHEMA_MISSING: { retry: true, exitCode: 65, hint: "Run pgnetd migrate against this database." },
  SCHEMA_NEWER: { retry: false, exitCode: 65, hint: "The database was migrated by a newer pgnetd: upgrade this one." },
  SCHEMA_FOREIGN: {
    retry: true,
    exitCode: 77,
    hint: "Connect as the owner of schema net, or as a role that has its rights.",
  },
  WRONG_ENVIRONMENT: {
    retry: false,
    exitCode: 78,
    hint: "Nothing was sent. Set database.environment (PGNETD_ENVIRONMENT) to the one of this database, or see pgnetd adopt --help.",
  },
  MIGRATION_FAILED: {
    retry: false,
    exitCode: 70,
    hint: "Mend the cause in the message and run pgnetd migrate again.",
  },
  STREAM_LOST: { retry: true, exitCode: 69, hint: "The replication connection ended; it is opened again." },
  STREAM_UNREADABLE: {
    retry: true,
    exitCode: 69,
    hint: "The slot is recreated; what it would have brought is read from the outbox. Please report this with the log.",
  },
  STREAM_UNAVAILABLE: {
    retry: true,
    exitCode: 69,
    hint: "Requests are sent by sweeping the outbox once a second until the stream is back.",
  },
  NOT_DONE: {
    retry: false,
    exitCode: 75,
    hint: "Remove what the message names and run the command again.",
  },
  CHECK_FAILED: { retry: false, exitCode: 1, hint: "See docs/doctor.md." },
  REQUEST_FAILED: { retry: false, exitCode: 1, hint: "The result is in net._http_response." },
  INTERNAL: { retry: true, exitCode: 70, hint: "This is a defect in pgnetd; please report it with the log." },
} as const satisfies Record<string, { readonly retry: boolean; readonly exitCode: number; readonly hint: string }>;

/** The closed set of reasons why the service, or a part of it, stops. */
export type ErrorCode = keyof typeof POLICY;

/** An error that stops the service or a part of it. How a request ends is never one: that is an `Outcome`. */
export class PgnetdError extends Error {
  override readonly name = "PgnetdError";
  readonly code: ErrorCode;
  /** What the operator should do; replaces the general hint of the code when given. */
  readonly hint: string;

  constructor(
    code: ErrorCode,
    message: string,
    options?: { readonly cause?: unknown; readonly hint?: string | undefined },
  ) {
    super(message, { cause: options?.cause });
    this.code = code;
    this.hint = options?.hint ?? POLICY[code].hint;
  }

  /** False where no waiting mends it: the daemon then ends instead of trying again. */
  get retry(): boolean {
    return POLICY[this.code].retry;
  }

  /** The process exit code (sysexits.h) when this error ends a command. */
  get exitCode(): number {
    return POLICY[this.code].exitCode;
  }
}

/** `error` as an Error, for code that catches `unknown`. */
export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
