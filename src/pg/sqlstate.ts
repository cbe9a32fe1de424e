/** SQLSTATEs that pgnetd decides on; see https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const SQLSTATE = {
  insufficientPrivilege: "42501",
  undefinedObject: "42704",
  undefinedFile: "58P01",
  invalidParameterValue: "22023",
  undefinedTable: "42P01",
  undefinedColumn: "42703",
  undefinedFunction: "42883",
  syntaxError: "42601",
  duplicatePreparedStatement: "42P05",
  invalidStatementName: "26000",
  protocolViolation: "08P01",
  invalidSchema: "3F000",
  readOnlyTransaction: "25006",
  lockNotAvailable: "55P03",
  deadlockDetected: "40P01",
  objectInUse: "55006",
  queryCanceled: "57014",
  objectNotInPrerequisiteState: "55000",
  diskFull: "53100",
  outOfMemory: "53200",
  tooManyConnections: "53300",
  configurationLimitExceeded: "53400",
  crashShutdown: "57P02",
  cannotConnectNow: "57P03",
  dataCorrupted: "XX001",
  indexCorrupted: "XX002",
  foreignServerUnreachable: "HV00N",
  invalidPassword: "28P01",
  invalidAuthorization: "28000",
  unknownDatabase: "3D000",
  uniqueViolation: "23505",
  dependentObjectsStillExist: "2BP01",
  noDataFound: "P0002",
} as const;

/** The SQLSTATE of an error from the server, or null for any other error: one of the system has a code, too, such as EPIPE. */
export function sqlstateOf(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error) || "syscall" in error) return null;
  return typeof error.code === "string" && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : null;
}

/** What distinguishes failures of the database: the SQLSTATE, or the system's error code where the server gave none. */
export function causeOf(error: unknown): string {
  const sqlstate = sqlstateOf(error);
  if (sqlstate !== null) return sqlstate;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}

/** Classes of SQLSTATE that speak of the data: data exception, constraint, check option, program limit, raised by a trigger. */
const DATA_CLASSES: ReadonlySet<string> = new Set(["22", "23", "44", "54", "P0"]);

/** Routines of the server that give out transaction ids. */
const GIVING_IDS: ReadonlySet<string> = new Set(["GetNewTransactionId", "GetNewMultiXactId"]);

/** True where the server gives out no more transaction ids until it is vacuumed. It calls that a program limit, as it does what is too large. */
export function isOutOfIds(error: unknown): boolean {
  return error instanceof Error && "routine" in error && GIVING_IDS.has(String(error.routine));
}

/** What the driver says of a statement that it waits for no longer. */
const NO_ANSWER = "Query read timeout";

/** True for a statement that had no answer in time, or was cancelled. */
export function isTimedOut(error: unknown): boolean {
  return sqlstateOf(error) === SQLSTATE.queryCanceled || (error instanceof Error && error.message === NO_ANSWER);
}

/** Classes of SQLSTATE that speak of the server, and not of one statement: read-only or aborted transactions, want of resources, errors of its system. */
const SERVER_CLASSES: ReadonlySet<string> = new Set(["25", "53", "58"]);
const OF_SERVER: ReadonlySet<string> = new Set([SQLSTATE.dataCorrupted, SQLSTATE.indexCorrupted]);

/** True for an error that other statements have as well, whatever they write: the server's, the system's, or the network's. */
export function isServerError(error: unknown): boolean {
  const sqlstate = sqlstateOf(error);
  if (sqlstate === null) return !isTimedOut(error);
  const isShutdown = sqlstate.startsWith("57P");
  return SERVER_CLASSES.has(sqlstate.slice(0, 2)) || OF_SERVER.has(sqlstate) || isShutdown || isOutOfIds(error);
}

/** Classes of SQLSTATE that pass: of connections (a trigger may make some, too), and of transactions that were in each other's way. */
const PASSING_CLASSES: ReadonlySet<string> = new Set(["08", "40"]);
const PASSING: ReadonlySet<string> = new Set([
  SQLSTATE.lockNotAvailable,
  SQLSTATE.objectInUse,
  SQLSTATE.foreignServerUnreachable,
]);

/** True for an error after which the same statement may well succeed later, though nobody changes anything. */
export function isPassing(error: unknown): boolean {
  const sqlstate = sqlstateOf(error) ?? "";
  return PASSING_CLASSES.has(sqlstate.slice(0, 2)) || PASSING.has(sqlstate) || isTimedOut(error);
}

/** True for an error of a statement whose fault lies in what it reads or writes. */
export function isDataError(error: unknown): boolean {
  return DATA_CLASSES.has(sqlstateOf(error)?.slice(0, 2) ?? "") && !isOutOfIds(error);
}
