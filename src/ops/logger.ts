import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MASK, redact } from "../config/redact.ts";
import type { Config } from "../config/settings.ts";

/** How the log is written. */
export interface LoggerOptions {
  readonly level: Config["log"]["level"];
  /** Where lines go; default: standard output, as text for people where that is a terminal. */
  readonly to?: DestinationStream | undefined;
}

/** Fields that must never reach a log; what comes under these names is masked (P11). The rule is not to log them at all. */
const SECRET_FIELDS = ["password", "headers", "body", "content", "authorization", "connectionString", "url"];

/** Opens the log: one JSON line per event. Lines are written before the call returns, so none is lost at an exit. */
export async function openLogger({ level, to }: LoggerOptions): Promise<Log> {
  const destination = to ?? (process.stdout.isTTY ? await prettyOutput() : undefined) ?? pino.destination(1);
  const logger: Logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redactStrings },
      serializers: { err: errorFields, error: errorFields },
      hooks: {
        logMethod(args, method) {
          const [fields, message] = args as [object, string | undefined];
          method.call(this, fields, redact(message ?? ""));
        },
      },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: MASK },
    },
    destination,
  );
  return logger;

  /** Of an error: what it is, not what it carries; PostgreSQL puts values of rows into `detail` and `where`. */
  function errorFields(thrown: unknown): object {
    const error = toError(thrown);
    return {
      type: error.name,
      message: redact(error.message),
      ...("code" in error && typeof error.code === "string" ? { code: error.code } : {}),
      ...(level === "debug" ? { stack: redact(error.stack ?? "") } : {}),
      ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
    };
  }
}

/** The fields with secrets masked in those that are text: some quote a driver, a server or the system. */
function redactStrings(fields: object): Record<string, unknown> {
  const entries = Object.entries(fields) as [string, unknown][];
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === "string" ? redact(value) : value]));
}

/** Coloured lines for a terminal. Undefined where the package is not installed, as in production. */
async function prettyOutput(): Promise<DestinationStream | undefined> {
  try {
    const { PinoPretty } = await import("pino-pretty");
    return PinoPretty({
      destination: 1,
      sync: true,
      colorize: true,
      translateTime: "SYS:HH:MM:ss.l",
      singleLine: true,
    });
  } catch {
    return undefined;
  }
}
