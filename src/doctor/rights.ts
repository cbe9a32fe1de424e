import pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { assertOwn } from "../pg/ownership.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { type Check, type DatabaseContext, failure, ok, type Result, skipped } from "./check.ts";
import { grantReplication } from "./remedies.ts";

/** What the role of DATABASE_URL may do. */
export const RIGHTS_CHECKS: readonly Check[] = [
  { id: "replication-right", group: "rights", stage: "always", on: "database", run: checkReplication },
  { id: "create-right", group: "rights", stage: "before", on: "database", run: checkCreate },
  { id: "schema-owner", group: "rights", stage: "always", on: "database", run: checkOwner },
];

/** Asks the server itself: what the right is called differs from one provider to the next. */
async function checkReplication({ probe, server: { provider, role } }: DatabaseContext): Promise<Result> {
  const probed = await probe.replication();
  if (probed.kind === "open") return ok(`role ${role} may replicate`);
  const why = toError(probed.error).message;
  if (sqlstateOf(probed.error) !== SQLSTATE.insufficientPrivilege) {
    return skipped(`there is no replication connection: ${why}`);
  }
  return failure(
    `role ${role} may not replicate (${why}): there is no stream, and requests are sent once a second`,
    grantReplication(provider, role),
  );
}

async function checkCreate({ db, server: { database, role } }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ may: boolean }>({
    text: "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'::text) as may",
  });
  if (rows[0]?.may === true) return ok(`role ${role} may create a schema and publications in ${database}`);
  return failure(
    `role ${role} may not create a schema and publications in ${database}, as pgnetd migrate does`,
    `grant create on database ${pg.escapeIdentifier(database)} to ${pg.escapeIdentifier(role)};`,
  );
}

async function checkOwner({ db }: DatabaseContext): Promise<Result> {
  try {
    await assertOwn(db, "net", "SCHEMA_FOREIGN");
    return ok("schema net and what pgnetd has in it belong to a role that this one may trust");
  } catch (error) {
    if (!(error instanceof PgnetdError)) throw error;
    return failure(error.message, error.hint);
  }
}
