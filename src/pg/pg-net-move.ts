import pg from "pg";

import { PgnetdError } from "../base/errors.ts";
import { codeRights } from "./code-rights.ts";
import { migrateIn, type Migrated, type MigrateOptions } from "./migrate.ts";
import { LOCK_TIMEOUT_MS } from "./migration-retry.ts";
import { inOpenTransaction, inTransactions } from "./migration-transaction.ts";
import { readSql } from "./migrations.ts";
import { otherRoles } from "./other-roles.ts";
import { OWNING_EXTENSION } from "./owning-extension.ts";
import { restoreAttachers } from "./parts.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** Something that others made on pg_net's objects. */
export interface MovedObject {
  /** `note` for what is not made again. */
  readonly kind: string;
  /** Its name; a note in words. */
  readonly object: string;
  /** How it is dropped, where it does not go with pg_net's tables. */
  readonly drop: string | null;
  /** How it is recreated. */
  readonly create: string | null;
  /** Why it cannot be. */
  readonly problem: string | null;
}

/** True for what fills a materialized view: `fillViews` does that after the move. */
export function isFilling({ kind }: MovedObject): boolean {
  return kind === "rows of materialized view";
}

/** What a move from pg_net would do. */
export interface MovePlan {
  /** The version of pg_net. */
  readonly version: string;
  readonly requests: number;
  readonly answers: number;
  /** In the order in which they are recreated. */
  readonly objects: readonly MovedObject[];
}

/** What a move did. */
export interface Moved extends MovePlan {
  readonly migrated: Migrated;
  /** Triggers on the tables whose functions run with the rights of the daemon's role, as `name on table`. */
  readonly triggers: readonly string[];
}

const SELECT_EXTENSION = `
select e.extversion as version, pg_get_userbyid(e.extowner)::text as owner, pg_has_role(e.extowner, 'usage') as may,
  current_user::text as role
from pg_extension as e where e.extname = 'pg_net' and ${OWNING_EXTENSION} = 'pg_net'`;

const SELECT_COUNTS = `
select (select count(*) from net.http_request_queue)::int as requests, (select count(*) from net._http_response)::int as answers,
  (select count(*) - count(distinct id) from net.http_request_queue)::int as repeated`;

/** pg_net's worker holds them for as long as a batch of requests takes. */
const LOCK = `
set local lock_timeout = '30s';
lock table net.http_request_queue, net._http_response in access exclusive mode;
set local lock_timeout = ${LOCK_TIMEOUT_MS}`;

const REQUEST = "id, method, url, headers, body, timeout_milliseconds";
const ANSWER = "id, status_code, content_type, headers, content, timed_out, error_msg, created";

const KEEP_ROWS = `
create temp table moved_request on commit drop as
  select id, method::text, url, headers, body, timeout_milliseconds from net.http_request_queue;
create temp table moved_answer on commit drop as select ${ANSWER} from net._http_response;
create temp table moved_sequence on commit drop as select last_value, is_called from net.http_request_queue_id_seq`;

/** Without its schema: what others have there stays. */
const DROP_EXTENSION = `
do $$ begin
  if exists (
    select from pg_depend where classid = 'pg_namespace'::regclass and objid = to_regnamespace('net')
      and refclassid = 'pg_extension'::regclass and deptype = 'e'
  ) then
    alter extension pg_net drop schema net;
  end if;
end $$;
drop extension pg_net`;

const RESTORE_ROWS = `
insert into net.http_request_queue (${REQUEST}) select ${REQUEST} from moved_request;
insert into net._http_response (${ANSWER}) select ${ANSWER} from moved_answer;
select setval('net.http_request_queue_id_seq', last_value, is_called) from moved_sequence;
set local check_function_bodies = off`;

const SELECT_TRIGGERS = `
select format('%s on %s', t.tgname, t.tgrelid::regclass) as name
from pg_trigger as t join pg_proc as p on p.oid = t.tgfoid
where t.tgrelid in ('net.http_request_queue'::regclass, 'net._http_response'::regclass) and not t.tgisinternal and not p.prosecdef
order by 1`;

/** How a move is done. */
export interface MoveOptions extends MigrateOptions {
  /** The role that is to own schema `net` and what is in it; the one that connects unless set. */
  readonly owner?: string | undefined;
}

/** What a move would do; null where there is no pg_net that owns schema `net`. Changes nothing. */
export async function planMove(client: pg.ClientBase, options: MoveOptions): Promise<MovePlan | null> {
  return inTransactions(client, options).run("pg_net", () => readPlan(client));
}

/**
 * Moves over from pg_net in one transaction: keeps requests, answers and what others made, drops the extension, installs pgnetd and
 * puts everything back; null where there is no pg_net. Materialized views are empty then: `fillViews` fills them. Throws NOT_DONE
 * where something is in the way.
 */
export async function moveFromPgNet(client: pg.ClientBase, options: MoveOptions): Promise<Moved | null> {
  return inTransactions(client, options).run("moving over from pg_net", async () => {
    if ((await readPlan(client)) === null) return null;
    await lockTables(client);
    const plan = await readPlan(client);
    if (plan === null) return null;
    refuseProblems(plan);
    await client.query(KEEP_ROWS);
    for (const { drop } of plan.objects.toReversed()) if (drop !== null) await client.query(drop);
    await client.query(DROP_EXTENSION);
    if (options.owner !== undefined) await client.query(become(options.owner));
    const migrated = await migrateIn(client, options, inOpenTransaction);
    const takenBack = await takeBackCodeRights(client);
    await client.query("set local role none");
    await client.query(RESTORE_ROWS);
    for (const { kind, object, create } of plan.objects.filter((one) => !isFilling(one))) {
      if (create !== null) await inOpenTransaction.run(`${kind} ${object}`, () => client.query(create));
    }
    await restoreAttachers(client);
    const triggers = await client.query<{ name: string }>(SELECT_TRIGGERS);
    const notes = [...migrated.notes, ...takenBack, ...(await otherRoles(client, options))];
    return { ...plan, migrated: { ...migrated, notes }, triggers: triggers.rows.map(({ name }) => name) };
  });
}

/** What default privileges have given on the tables that were made just now. */
async function takeBackCodeRights(client: pg.ClientBase): Promise<readonly string[]> {
  const notes: string[] = [];
  for (const { who, rights, tables, revoke } of await codeRights(client)) {
    await client.query(revoke);
    notes.push(
      `default privileges gave ${who} ${rights} on ${tables}, with which it could run code as the daemon: that is taken back`,
    );
  }
  return notes;
}

/** An older pg_net leaves no schema behind: then the role makes it. */
function become(owner: string): string {
  const role = pg.escapeIdentifier(owner);
  return `do $$ begin
    if to_regnamespace('net') is not null then alter schema net owner to ${role}; end if;
  end $$;
  set local role ${role}`;
}

async function readPlan(client: pg.ClientBase): Promise<MovePlan | null> {
  const [extension] = (
    await client.query<{ version: string; owner: string; may: boolean; role: string }>(SELECT_EXTENSION)
  ).rows;
  if (extension === undefined) return null;
  const { version, owner, may, role } = extension;
  if (!may) {
    throw new PgnetdError("PG_REFUSED", `the extension pg_net belongs to ${owner}, and ${role} may not drop it`, {
      hint: `Connect as ${owner}, or as a superuser, for this command.`,
    });
  }
  const { rows } = await client.query<{ requests: number; answers: number; repeated: number }>(SELECT_COUNTS);
  const { requests = 0, answers = 0, repeated = 0 } = rows[0] ?? {};
  const objects = (await client.query<MovedObject & pg.QueryResultRow>(await readSql("optional/from_pg_net.sql"))).rows;
  const problem = `${repeated} of them have the id of another one; give them others, or delete them`;
  const queue = { kind: "requests", object: "net.http_request_queue", drop: null, create: null, problem };
  return { version, requests, answers, objects: repeated === 0 ? objects : [...objects, queue] };
}

async function lockTables(client: pg.ClientBase): Promise<void> {
  try {
    await client.query(LOCK);
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
    throw new PgnetdError("NOT_DONE", "others use the tables of pg_net, its worker perhaps: nothing was changed", {
      cause: error,
      hint: "Run the command again when requests in flight have ended; see pg_locks.",
    });
  }
}

function refuseProblems({ objects }: MovePlan): void {
  const problems = objects.filter(({ problem }) => problem !== null);
  if (problems.length === 0) return;
  const list = problems.map(({ kind, object, problem }) => `\n  - ${kind} ${object}: ${problem}`).join("");
  throw new PgnetdError("NOT_DONE", `what cannot be moved over is in the way, and nothing was changed:${list}`, {
    hint: "Do what the message says, then run the command again.",
  });
}
