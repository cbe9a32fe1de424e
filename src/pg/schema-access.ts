import { PgnetdError } from "../base/errors.ts";
import { OWNING_EXTENSION } from "./owning-extension.ts";
import type { Queryable } from "./pool.ts";

/** What stands between this role and pgnetd's schema, as the catalog shows it without any right on the schema. */
interface Access {
  readonly database: string;
  readonly role: string;
  /** Null where there is no schema `net`. */
  readonly owner: string | null;
  readonly usable: boolean | null;
  /** Null where the table of versions is not there. */
  readonly readable: boolean | null;
  /** The extension that owns schema `net`; null where none does. */
  readonly extension: string | null;
  /** What would give the role the rights. */
  readonly grants: string;
}

const GRANTS = `pg_catalog.format('grant usage on schema net to %1$I; grant all on all tables in schema net to %1$I; '
    'grant all on all sequences in schema net to %1$I;', current_user)`;

const SELECT_ACCESS = `
select pg_catalog.current_database()::text as database, current_user::text as role,
  pg_catalog.pg_get_userbyid(n.nspowner)::text as owner, pg_catalog.has_schema_privilege(n.oid, 'usage') as usable,
  pg_catalog.has_table_privilege(t.oid, 'select') as readable,
  ${OWNING_EXTENSION} as extension,
  ${GRANTS} as grants
from (select) one
left join pg_catalog.pg_namespace n on n.nspname = 'net'
left join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = 'pgnetd_migrations'`;

/** What is missing where the version of the schema cannot be read; null where nothing is. */
export async function missingAccess(db: Queryable): Promise<PgnetdError | null> {
  const access = (await db.query<Access & Record<string, unknown>>({ text: SELECT_ACCESS })).rows[0];
  if (access === undefined) return null;
  const { database, role, owner, usable, readable, extension, grants } = access;
  if (owner === null) {
    return new PgnetdError("SCHEMA_MISSING", `there is no schema net in database ${database}`, {
      hint: "Run pgnetd migrate against this database, or point DATABASE_URL to the one where it was run.",
    });
  }
  if (usable === false || readable === false) {
    const what = usable === false ? "use schema net" : "read net.pgnetd_migrations";
    return new PgnetdError("PG_REFUSED", `role ${role} may not ${what} in database ${database}`, {
      hint: `Connect as its owner, ${owner}, or as that role: ${grants}`,
    });
  }
  if (readable === null) {
    return new PgnetdError("SCHEMA_MISSING", `schema net in database ${database} has no tables of pgnetd`, {
      hint:
        extension === "pg_net"
          ? "It is that of the extension pg_net: pgnetd migrate --from-pg-net moves over; see docs/from-pg_net.md."
          : "Run pgnetd migrate against this database.",
    });
  }
  return null;
}

const SELECT_INSTALLATION_ACCESS = `
select current_user::text as role, pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(t.oid, 'select') as readable,
  ${GRANTS} as grants
from (select) one
left join pg_catalog.pg_namespace n on n.nspname = 'net'
left join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = 'pgnetd_installation'`;

/** Why whose requests these are was not found, and what mends it. */
export async function missingInstallation(db: Queryable): Promise<PgnetdError> {
  const { rows } = await db.query<Pick<Access, "role" | "readable" | "grants"> & Record<string, unknown>>({
    text: SELECT_INSTALLATION_ACCESS,
  });
  const { role = "", readable = null, grants = "" } = rows[0] ?? {};
  if (readable === null) return new PgnetdError("SCHEMA_MISSING", "net.pgnetd_installation is missing");
  if (!readable) {
    return new PgnetdError("PG_REFUSED", `role ${role} may not read net.pgnetd_installation`, {
      hint: `As its owner: ${grants}`,
    });
  }
  return new PgnetdError("SCHEMA_MISSING", "net.pgnetd_installation has no row", {
    hint: "Put its row back: insert into net.pgnetd_installation default values;",
  });
}
