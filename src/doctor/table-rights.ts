import pg from "pg";

import { codeRights } from "../pg/code-rights.ts";
import { rowSecurityProblem } from "../pg/row-security.ts";
import { type Check, type DatabaseContext, failure, ok, type Result, warning } from "./check.ts";

/** What the daemon does with its tables. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  "net.http_request_queue": ["select", "update", "delete"],
  "net._http_response": ["select", "insert", "delete"],
  "net.http_response_detail": ["select", "insert", "delete"],
  "net.http_dead_letter": ["select", "insert", "delete"],
  "net.http_host_settings": ["select"],
  "net.http_lane_activity": ["insert", "delete"],
  "net.pgnetd_installation": ["select", "update"],
  "net.pgnetd_parts": ["select"],
};

const SELECT_MISSING = `
select pg_catalog.format('%s on %s', pg_catalog.string_agg(w.privilege, ', ' order by w.n), w.tab) as missing
from unnest($1::text[], $2::text[]) with ordinality as w (tab, privilege, n)
where pg_catalog.has_table_privilege(pg_catalog.to_regclass(w.tab)::oid, w.privilege) is false
group by w.tab order by w.tab`;

async function checkTables({ db, server: { role } }: DatabaseContext): Promise<Result> {
  const pairs = Object.entries(NEEDED).flatMap(([table, rights]) => rights.map((right) => [table, right] as const));
  const values = [pairs.map(([table]) => table), pairs.map(([, right]) => right)];
  const { rows } = await db.query<{ missing: string }>({ text: SELECT_MISSING, values });
  if (rows.length === 0) return ok(`role ${role} may read and write the tables`);
  const missing = rows.map((row) => row.missing);
  return failure(
    `role ${role} lacks ${missing.join("; ")}`,
    missing.map((one) => `grant ${one} to ${pg.escapeIdentifier(role)};`).join(" "),
  );
}

async function checkRowSecurity({ db, server: { role } }: DatabaseContext): Promise<Result> {
  const problem = await rowSecurityProblem(db);
  if (problem !== null) return failure(problem.message, problem.hint);
  return ok(`row security hides no row of the tables from role ${role}`);
}

async function checkCodeRights({ db }: DatabaseContext): Promise<Result> {
  const found = await codeRights(db);
  if (found.length === 0) return ok("no role but those with the owner's rights can have code run by a table of pgnetd");
  return warning(
    found.map(({ who, rights, tables }) => `${who} has ${rights} on ${tables}`).join("; ") +
      ", with which it can run code as the daemon, as callers, or as the owner",
    found.map(({ revoke }) => revoke).join(" "),
  );
}

const INSTALLED = { group: "rights", stage: "installed", needs: ["schema-version"], on: "database" } as const;

/** Whether the role may use the tables, and sees all that is in them; and who else could have code run by them. */
export const TABLE_RIGHTS: readonly Check[] = [
  { id: "table-rights", ...INSTALLED, run: checkTables },
  { id: "row-security", ...INSTALLED, run: checkRowSecurity },
  { id: "code-rights", ...INSTALLED, needs: ["schema-version", "table-rights"], run: checkCodeRights },
];
