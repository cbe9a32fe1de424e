import pg from "pg";

import { toError } from "../base/errors.ts";
import { connectionError } from "../pg/connection.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { type Check, type CheckContext, failure, ok, type Result, skipped, warning } from "./check.ts";
import type { Probed } from "./connection-probe.ts";
import { directUrl } from "./remedies.ts";

/** What shows whether a pooler is in between. */
export interface PoolerSigns {
  readonly host: string;
  readonly port: number;
  readonly ordinary: Probed;
  readonly replication: Probed;
}

/** Ports that poolers use and PostgreSQL does not, by default: Crunchy Bridge's PgBouncer, PgBouncer, Supavisor's transaction mode. */
const POOLER_PORTS: readonly number[] = [5431, 6432, 6543];

/** Names of hosts that are poolers: Neon's, Supavisor, RDS Proxy. */
const POOLER_HOSTS = /-pooler\.|\.pooler\.supabase\.|\.proxy-[^.]*\.[^.]*\.rds\.amazonaws\.com$/;

/**
 * Judges whether there is a pooler between here and PostgreSQL. Three things tell: an error without the place in the source
 * that PostgreSQL's own errors have; another process id at login than PostgreSQL's own; and the name of the host. Neon's
 * proxy shows the second on its direct host, too, and carries replication.
 */
export function judgePooler({ host, port, ordinary, replication }: PoolerSigns): Result {
  const isNeons = host.endsWith(".neon.tech") && !POOLER_HOSTS.test(host);
  const refused = isNeons ? undefined : [ordinary, replication].find(isRefusedByPooler);
  const fix = directUrl(null, host);
  if (refused !== undefined) {
    const message = refused.kind === "failed" ? toError(refused.error).message : "";
    return failure(`a pooler answers in PostgreSQL's place: ${message}`, fix);
  }
  if (ordinary.kind === "failed") return skipped("there is no connection");
  const isNamed = POOLER_HOSTS.test(host) || POOLER_PORTS.includes(port);
  const isOther = ordinary.announced !== ordinary.actual;
  if (!isOther && !isNamed) return ok("none: the connection leads to PostgreSQL itself");
  const how = isOther
    ? `the session has process id ${ordinary.actual}, and ${ordinary.announced ?? "none"} was announced`
    : `${host}, port ${port}, is known for one`;
  if (replication.kind === "failed") {
    return failure(`there is one (${how}), and it carries no replication: ${toError(replication.error).message}`, fix);
  }
  if (isNeons) return ok("Neon's own proxy, which carries replication");
  return warning(`there is one (${how}); it carries replication, but settings of a session may get lost in it`, fix);
}

/** PostgreSQL's errors name the routine they come from; those of poolers do not. A wrong password is nobody's sign. */
function isRefusedByPooler(probed: Probed): boolean {
  if (probed.kind === "open" || !(probed.error instanceof pg.DatabaseError)) return false;
  const { code = "", routine } = probed.error;
  return routine === undefined && !code.startsWith("28") && !code.startsWith("3D");
}

const OLDEST_MAJOR = 14;
const NEWEST_MAJOR = 18;

/** Judges a `server_version_num`. */
export function judgeVersion(version: number): Result {
  const major = Math.floor(version / 10_000);
  if (major < OLDEST_MAJOR) {
    return failure(`PostgreSQL ${major} is too old`, `upgrade to PostgreSQL ${OLDEST_MAJOR} or newer`);
  }
  if (major <= NEWEST_MAJOR) return ok(`PostgreSQL ${major}`);
  return warning(
    `PostgreSQL ${major} is newer than this pgnetd was tested with`,
    "see whether there is a newer pgnetd",
  );
}

interface ReadOnlyRow {
  readonly standby: boolean;
  readonly readonly: string;
  /** What takes the setting back, without its end; null where neither database nor role has it. */
  readonly reset: string | null;
}

/** Where the setting comes from. Sessions of those who mend it have it, too. */
const SELECT_READ_ONLY = `
select pg_catalog.pg_is_in_recovery() as standby, pg_catalog.current_setting('transaction_read_only') as readonly,
  case (select source from pg_catalog.pg_settings where name = 'default_transaction_read_only')
    when 'database' then pg_catalog.format('alter database %I', pg_catalog.current_database())
    when 'user' then pg_catalog.format('alter role %I', current_user)
    when 'database user' then pg_catalog.format('alter role %I in database %I', current_user, pg_catalog.current_database())
  end as reset`;

/** What there is between here and the database. */
export const CONNECTION_CHECKS: readonly Check[] = [
  {
    id: "pooler",
    group: "connection",
    stage: "always",
    on: "host",
    run: async ({ probe }) => {
      const [ordinary, replication] = [await probe.ordinary(), await probe.replication()];
      return judgePooler({ host: probe.host, port: probe.port, ordinary, replication });
    },
  },
  { id: "login", group: "connection", stage: "always", needs: ["pooler"], on: "host", run: checkConnection },
  {
    id: "primary",
    group: "connection",
    stage: "always",
    on: "database",
    onStandby: true,
    run: async ({ db }) => {
      const { rows } = await db.query<ReadOnlyRow>({ text: SELECT_READ_ONLY });
      const { standby = false, readonly = "off", reset = null } = rows[0] ?? {};
      if (standby) {
        return failure("this is a standby server: results cannot be written", "point DATABASE_URL to the primary");
      }
      if (readonly === "off") return ok("this is the primary, and it can be written to");
      return failure(
        "transactions are read-only: results cannot be written",
        reset === null
          ? "set default_transaction_read_only to off for the server, or in the options of DATABASE_URL"
          : `begin read write; ${reset} reset default_transaction_read_only; commit;`,
      );
    },
  },
  {
    id: "server-version",
    group: "connection",
    stage: "always",
    on: "database",
    onStandby: true,
    run: async ({ server }) => judgeVersion(server.version),
  },
];

async function checkConnection({ probe }: CheckContext): Promise<Result> {
  const probed = await probe.ordinary();
  if (probed.kind === "open") return ok(`${probe.host}, port ${probe.port}`);
  if (sqlstateOf(probed.error) === SQLSTATE.tooManyConnections) {
    return failure(
      toError(probed.error).message,
      "raise max_connections, or the connection limit of the role or the database, or end sessions that nobody needs",
    );
  }
  const { message, hint } = connectionError(probed.error);
  return failure(message, hint);
}
