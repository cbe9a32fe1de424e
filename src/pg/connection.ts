import pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { Client } from "./client.ts";
import { connectionConfig } from "./pool.ts";
import { databaseHint } from "./pooler.ts";
import { sessionName } from "./session-name.ts";
import { PIN_SESSION } from "./search-path.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** SQLSTATEs of a server that answered and refused: these say more to the operator than "not reachable". */
const REFUSED: ReadonlySet<string> = new Set([SQLSTATE.invalidPassword, SQLSTATE.invalidAuthorization]);

/** What mends an error with the SQLSTATE 25006. */
export const READ_ONLY_HINT =
  "The database is read-only: point DATABASE_URL to the primary, or lift default_transaction_read_only; pgnetd doctor says where it is set.";

/** What the driver says where the server asks for a password. */
const NO_PASSWORD = /client password must be a string/;

/** What mends a login that is refused for the database, by SQLSTATE. In a statement the same SQLSTATEs mean other things. */
const NOT_ADMITTED: Readonly<Record<string, string>> = {
  [SQLSTATE.insufficientPrivilege]: "Give the role the right to connect: grant connect on database … to ….",
  [SQLSTATE.objectNotInPrerequisiteState]:
    "Let the database take connections: alter database … allow_connections true.",
};

const NO_DATABASE =
  "Point DATABASE_URL to the database, which may have been renamed. A daemon that runs needs a restart for another name.";

/** What mends a login of a user whom the server knows, and does not admit to the database; undefined for all other errors. */
export function admissionHint(error: unknown): string | undefined {
  const sqlstate = sqlstateOf(error) ?? "";
  if (sqlstate === SQLSTATE.unknownDatabase) return NO_DATABASE;
  return error instanceof pg.DatabaseError && error.routine === "CheckMyDatabase" ? NOT_ADMITTED[sqlstate] : undefined;
}

/** Why the database cannot be used, as PG_REFUSED or PG_UNREACHABLE. */
export function connectionError(error: unknown): PgnetdError {
  if (isPasswordMissing(error)) {
    return new PgnetdError(
      "PG_REFUSED",
      "the database cannot be used: the server asks for a password, and none is set",
      {
        cause: error,
        hint: "Put it into DATABASE_URL, or into PGPASSWORD. A daemon that runs needs a restart for it.",
      },
    );
  }
  const code = isRefused(error) ? "PG_REFUSED" : "PG_UNREACHABLE";
  return new PgnetdError(code, `the database cannot be used: ${toError(error).message}`, {
    cause: error,
    hint: admissionHint(error) ?? databaseHint(error),
  });
}

/** Whether the server answered, and refused the login. */
export function isRefused(error: unknown): boolean {
  return REFUSED.has(sqlstateOf(error) ?? "") || admissionHint(error) !== undefined || isPasswordMissing(error);
}

function isPasswordMissing(error: unknown): boolean {
  return NO_PASSWORD.test(toError(error).message);
}

/** One ordinary connection, for a command; its owner ends it. Throws PG_REFUSED or PG_UNREACHABLE. */
export async function connect(url: string, command: string): Promise<pg.Client> {
  const client = new Client(connectionConfig(url, sessionName(command)));
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query(PIN_SESSION);
  } catch (error) {
    throw connectionError(error);
  }
  return client;
}
