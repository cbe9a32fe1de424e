import type pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { findInstallation, type Installation, MARK_ALL, MARK_REQUESTS } from "../pg/installation.ts";
import { assertOwn } from "../pg/ownership.ts";
import type { Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { withoutDaemons } from "./refuse-daemons.ts";

/** What becomes of the requests that wait: a copy drops or keeps them; an installation that moved keeps them, and its id. */
export type Adoption = "discard" | "keep" | "moved";

/** What there is to adopt. */
export interface Adoptable {
  /** Null where the schema has no installation in it. */
  readonly installation: Installation | null;
  readonly requests: number;
  readonly deadLetters: number;
}

const SELECT_COUNTS = `
select (select count(*) from net.http_request_queue)::float8 as requests,
  (select count(*) from net.http_dead_letter)::float8 as "deadLetters"`;

/** The row is gone where a dump has the schema alone. */
const RESTORE_ROW = "insert into net.pgnetd_installation default values on conflict do nothing";

const ADOPT = `update net.pgnetd_installation set environment = $1, place = null,
  id = case when $2 then id else pg_catalog.gen_random_uuid() end`;

/** Reads what `adopt` would act on. */
export async function readAdoptable(db: Queryable): Promise<Adoptable> {
  await assertOwn(db, "net", "SCHEMA_FOREIGN");
  const installation = await findInstallation(db);
  const { rows } = await db.query<Omit<Adoptable, "installation"> & pg.QueryResultRow>({ text: SELECT_COUNTS });
  return { installation, requests: rows[0]?.requests ?? 0, deadLetters: rows[0]?.deadLetters ?? 0 };
}

/** Throws, before the schema is migrated for it, where `adopt` refuses a database. */
export async function assertAdoptable(client: Queryable, environment: string | null): Promise<void> {
  await assertOwn(client, "net", "SCHEMA_FOREIGN");
  refuseOwn(await findInstallation(client), environment);
  await withoutDaemons(client, async () => undefined);
}

/**
 * Makes the database an installation of `environment`, null for none, in one transaction; the schema must be the latest.
 * Returns what was there before. Throws NOT_DONE while a daemon runs on it, and where there is nothing to adopt.
 */
export async function adopt(client: Queryable, environment: string | null, adoption: Adoption): Promise<Adoptable> {
  try {
    const before = await readAdoptable(client);
    refuseOwn(before.installation, environment);
    await withoutDaemons(client, async () => {
      if (adoption === "discard") await client.query({ text: "truncate net.http_request_queue" });
      await client.query({ text: RESTORE_ROW });
      await client.query({ text: ADOPT, values: [environment, adoption === "moved"] });
      for (const text of before.installation === null ? MARK_REQUESTS : MARK_ALL) await client.query({ text });
    });
    return before;
  } catch (error) {
    throw refusal(error);
  }
}

/** So that a mistaken `adopt` against production drops nothing. */
function refuseOwn(installation: Installation | null, environment: string | null): void {
  if (installation === null || environment === null || installation.environment !== environment) return;
  throw new PgnetdError("NOT_DONE", `this database is recorded for the environment ${environment} already`, {
    hint: "There is nothing to adopt: a daemon of that environment runs on it.",
  });
}

function refusal(error: unknown): unknown {
  const sqlstate = sqlstateOf(error);
  if (sqlstate === SQLSTATE.lockNotAvailable) {
    return new PgnetdError("NOT_DONE", "other transactions use the tables of pgnetd", {
      cause: error,
      hint: "Nothing was changed. Run the command again when they have ended.",
    });
  }
  if (sqlstate === SQLSTATE.insufficientPrivilege) {
    const hint = "Nothing was changed. Connect as the owner of schema net.";
    return new PgnetdError("PG_REFUSED", toError(error).message, { cause: error, hint });
  }
  return error;
}
