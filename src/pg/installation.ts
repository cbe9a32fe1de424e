import { z } from "zod";

import { type Claim, environmentProblem, isCopy } from "./environment.ts";
import type { Queryable, Statement } from "./pool.ts";
import { missingInstallation } from "./schema-access.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** What a database says of itself: whose it is, and what distinguishes its requests from those of every other. */
export interface Installation extends Claim {
  /** First part of each `Idempotency-Key`. */
  readonly id: string;
  /** The oid of the outbox: another one is that of a schema that was dropped and recreated, whose ids start over, too. */
  readonly outbox: number;
  /** What its requests have in `installation_mark`: those made here, and those of a whole dump that was restored in its place. */
  readonly marks: readonly number[];
}

/** SQL for the oid of the outbox, as text. */
export const OUTBOX_OID = "pg_catalog.to_regclass('net.http_request_queue')::oid::text";

/** SQL for the mark of the installation whose id is `id`, a `uuid` as text: 31 bits of its hash, so that it is never negative. */
function markOf(id: string): string {
  return `('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(${id}, 'UTF8')), 'hex'), 8))::bit(31)::int`;
}

/** SQL for what requests made here are given; null where the column has no such default. Rows that a dump adds bring their own. */
const DEFAULT_MARK = `(
    select pg_catalog.substring(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '^\\d+$')::int
    from pg_catalog.pg_attribute a join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = pg_catalog.to_regclass('net.http_request_queue') and a.attname = 'installation_mark'
  )`;

/** Makes the mark of the installation that of what is added to the table from now on. */
function markFromNow(table: string): string {
  return `do $$ begin
    execute pg_catalog.format('alter table ${table} alter column installation_mark set default %s',
      (select ${markOf("id::text")} from net.pgnetd_installation));
  end $$`;
}

const MARK_LETTERS = markFromNow("net.http_dead_letter");

/** Makes the mark of the installation that of the requests that wait, and of requests and dead letters from now on. */
export const MARK_REQUESTS = [
  MARK_LETTERS,
  markFromNow("net.http_request_queue"),
  `update net.http_request_queue set installation_mark = default where installation_mark <> ${DEFAULT_MARK}`,
];

/** And of the dead letters of the installation that it was before: their ids were given out by the same sequence. */
export const MARK_ALL = [
  MARK_LETTERS,
  `update net.http_dead_letter set installation_mark = default where installation_mark = ${DEFAULT_MARK}`,
  ...MARK_REQUESTS.slice(1),
];

/** As JSON, so that a schema of before the newer columns can be read, too. */
const SELECT_INSTALLATION = {
  text: `select j ->> 'id'::text as id, j ->> 'environment'::text as environment,
    nullif(j -> 'place'::text, 'null'::jsonb)::json as recorded,
    (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())::text as database,
    i.tableoid::text as "table", i.xmin::text as row, ${OUTBOX_OID} as outbox, pg_catalog.array_remove(array[${markOf("j ->> 'id'::text")}, ${DEFAULT_MARK}], null) as marks
  from net.pgnetd_installation i, pg_catalog.to_jsonb(i) j`,
};

const SELECT_SYSTEM = { text: "select system_identifier::text as system from pg_catalog.pg_control_system()" };

/** Committed without a standby's word: where it is lost it is written again. */
const RECORD_PLACE = `update net.pgnetd_installation set place = pg_catalog.jsonb_build_object(
  'database', $1::text, 'table', $2::text, 'row', pg_catalog.pg_current_xact_id()::pg_catalog.xid::text, 'system', $3::text)
where pg_catalog.set_config('synchronous_commit', 'local', true) is not null`;

const placeSchema = z.object({
  database: z.string(),
  table: z.string(),
  row: z.string(),
  system: z.string().nullable(),
});

const rowSchema = z.object({
  ...placeSchema.omit({ system: true }).shape,
  id: z.uuid(),
  outbox: z.coerce.number<string>(),
  marks: z.array(z.int()),
  environment: z.string().nullable(),
  recorded: placeSchema.nullable(),
});

const systemSchema = z.object({ system: z.string() });

/** The schema or its table is not there, or not for this role: whoever needs them says so. */
const UNREADABLE: ReadonlySet<string> = new Set([
  SQLSTATE.invalidSchema,
  SQLSTATE.undefinedTable,
  SQLSTATE.insufficientPrivilege,
]);

/** Reads the installation outside of a transaction; null where there is none. */
export async function findInstallation(db: Queryable): Promise<Installation | null> {
  const read = rowSchema.safeParse(await readRow(db, SELECT_INSTALLATION));
  if (!read.success) return null;
  const { id, outbox, marks, environment, recorded, database, table, row } = read.data;
  const { system = null } = systemSchema.safeParse(await readRow(db, SELECT_SYSTEM)).data ?? {};
  return { id, outbox, marks, environment, recorded, place: { database, table, row, system } };
}

async function readRow(db: Queryable, statement: Statement): Promise<unknown> {
  try {
    return (await db.query(statement)).rows[0];
  } catch (error) {
    if (UNREADABLE.has(sqlstateOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Reads the installation and refuses it where it is not for a daemon of `environment`. */
export async function readInstallation(db: Queryable, environment: string | null): Promise<Installation> {
  const installation = await findInstallation(db);
  if (installation === null) throw await missingInstallation(db);
  const problem = environmentProblem(installation, environment);
  if (problem !== null) throw problem;
  return installation;
}

/**
 * Refuses a database of another environment, and a copy, before its schema is migrated. One that is recorded for none is for
 * the migration to judge.
 */
export async function refuseOthers(db: Queryable, environment: string | null): Promise<void> {
  const installation = await findInstallation(db);
  if (installation === null || (installation.environment === null && !isCopy(installation))) return;
  const problem = environmentProblem(installation, environment);
  if (problem !== null) throw problem;
}

/** Records that a daemon ran where the database is now. */
export async function recordPlace(db: Queryable, { recorded, place }: Installation): Promise<void> {
  const { database, table, row, system } = place;
  if (recorded?.database === database && recorded.table === table && recorded.row === row) {
    if (system === null || recorded.system === system) return;
  }
  await db.query({ text: RECORD_PLACE, values: [database, table, system] });
}
