/** Structured fields of one log line: ids, hosts, counts, positions, durations; never bodies, headers or secrets (P11). */
export type LogFields = Readonly<Record<string, unknown>>;

/** The part of a logger that pgnetd uses; a pino logger is one. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
