import pg from "pg";

/** An error of the server. */
export function refusal(sqlstate: string, message: string): Error {
  return Object.assign(new pg.DatabaseError(message, 0, "error"), { code: sqlstate });
}
