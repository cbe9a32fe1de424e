import { type Check, type DatabaseContext, failure, mebibytes, ok, type Result, skipped, warning } from "./check.ts";
import { setParameter } from "./remedies.ts";
import { firstLimit, readMostRetained } from "./wal-limit.ts";

/** What decides whether the server decodes its log. */
export interface WalLevel {
  readonly configured: string;
  /** `effective_wal_level`, from PostgreSQL 19 on: a logical slot raises it by itself. Null before. */
  readonly effective: string | null;
}

/** True where a logical slot can be created without a restart. */
export function isLogical({ configured, effective }: WalLevel): boolean {
  if (configured === "logical" || effective === "logical") return true;
  return effective !== null && configured === "replica";
}

/** How many standby servers each commit waits for, by `synchronous_standby_names`. */
export function standbysNeeded(names: string): number {
  if (names.trim() === "") return 0;
  return Number(/^\s*(?:(?:first|any)\s+)?(\d+)\s*\(/i.exec(names)?.[1] ?? 1);
}

/** Settings and capacity of the server. */
export const SERVER_CHECKS: readonly Check[] = [
  { id: "wal-level", group: "server", stage: "always", on: "database", run: checkWalLevel },
  { id: "slots-free", group: "server", stage: "always", on: "database", run: checkSlots },
  { id: "walsenders-free", group: "server", stage: "always", on: "database", run: checkWalsenders },
  { id: "slot-wal-limit", group: "server", stage: "always", on: "database", run: checkWalLimit },
  { id: "idle-slots", group: "server", stage: "always", on: "database", run: checkIdleSlots },
  { id: "synchronous-standby", group: "server", stage: "always", on: "database", run: checkSynchronousStandbys },
];

async function checkWalLevel({ db, server }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ configured: string; effective: string | null }>({
    text: `select pg_catalog.current_setting('wal_level') as configured,
      pg_catalog.current_setting('effective_wal_level', true) as effective`,
  });
  const { configured = "", effective = null } = rows[0] ?? {};
  if (isLogical({ configured, effective })) {
    const raised = configured === "logical" ? "" : ", which a logical slot raises to logical";
    return ok(`wal_level is ${configured}${raised}`);
  }
  const value = effective === null ? "logical" : "replica";
  return failure(
    `wal_level is ${configured}: there is no stream, and requests are sent once a second`,
    setParameter(server.provider, { name: "wal_level", value, restart: true }),
  );
}

async function checkSlots({ db, server }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ most: number; used: number; ours: boolean; idle: string[] }>({
    text: `select pg_catalog.current_setting('max_replication_slots')::int4 as most, pg_catalog.count(*)::int4 as used,
        coalesce(pg_catalog.bool_or(slot_name = $1), false) as ours,
        coalesce(pg_catalog.array_agg(slot_name::text order by slot_name) filter (where not active), '{}') as idle
      from pg_catalog.pg_replication_slots`,
    values: [server.slotName],
  });
  const { most = 0, used = 0, ours = false, idle = [] } = rows[0] ?? {};
  const found = `${used} of ${most} replication slots are in use`;
  if (ours) return ok(`${found}, ours among them`);
  if (used < most) return ok(found);
  const raise = setParameter(server.provider, {
    name: "max_replication_slots",
    value: String(most + 5),
    restart: true,
  });
  const drop =
    idle.length === 0
      ? ""
      : `; or drop one that nobody uses, of ${idle.join(", ")}: select pg_drop_replication_slot('…');`;
  return failure(`${found}: there is none for pgnetd`, raise + drop);
}

async function checkWalsenders({ db, server }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ most: number; used: number; ours: boolean }>({
    text: `select pg_catalog.current_setting('max_wal_senders')::int4 as most,
        (select pg_catalog.count(*) from pg_catalog.pg_stat_replication)::int4 as used,
        exists (select from pg_catalog.pg_replication_slots where slot_name = $1 and active) as ours`,
    values: [server.slotName],
  });
  const { most = 0, used = 0, ours = false } = rows[0] ?? {};
  const found = `${used} of ${most} walsenders are in use`;
  if (used < most) return ok(found);
  const fix = `${setParameter(server.provider, { name: "max_wal_senders", value: String(most + 5), restart: true })}; or end other replication`;
  if (ours) return warning(`${found}, one by pgnetd: there is none for a standby daemon`, fix);
  return failure(`${found}: there is none for pgnetd`, fix);
}

/** A few GB: what a daemon that stays away may make the server keep. */
const LIMIT_BYTES = 4 * 1024 ** 3;

async function checkWalLimit({ db, server, config }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ limit: string }>({
    text: "select pg_catalog.current_setting('max_slot_wal_keep_size') as limit",
  });
  const limit = rows[0]?.limit ?? "";
  if (limit !== "-1") return ok(`max_slot_wal_keep_size is ${limit}`);
  if (config.slot.temporary) return ok("the slot is temporary: it holds no WAL while the daemon is away");
  if (server.provider === "neon") return ok("Neon removes slots that nobody reads");
  const most = await readMostRetained(db);
  const value = firstLimit(LIMIT_BYTES, most?.bytes ?? 0);
  const held =
    most === null || most.bytes <= LIMIT_BYTES
      ? ""
      : `; slot ${most.name} retains ${mebibytes(most.bytes)} already, and a limit below that invalidates it`;
  return warning(
    `max_slot_wal_keep_size is -1: while no daemon runs, WAL grows until the disk is full${held}`,
    setParameter(server.provider, { name: "max_slot_wal_keep_size", value, restart: false }),
  );
}

/** What a slot that nobody reads may retain before it is worth a word. */
const MUCH_RETAINED = 1024 ** 3;

/** Ours has a check of its own. Slots of all databases, physical ones included, keep the same log on the same disk. */
async function checkIdleSlots({ db, server }: DatabaseContext): Promise<Result> {
  if (await isStandby(db)) return skipped("a standby server has no log of its own");
  const { rows } = await db.query<{ name: string; bytes: number }>({
    text: `select slot_name::text as name, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::float8 as bytes
      from pg_catalog.pg_replication_slots
      where not active and slot_name <> $1 and pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn) > $2
      order by 2 desc limit 5`,
    values: [server.slotName, MUCH_RETAINED],
  });
  if (rows.length === 0) return ok("no slot that nobody reads retains much WAL");
  return warning(
    `nobody reads ${rows.map(({ name, bytes }) => `slot ${name}, which retains ${mebibytes(bytes)} of WAL`).join("; ")}: the disk fills`,
    `start what reads it; or, where it is not needed any more: ${rows.map(({ name }) => `select pg_drop_replication_slot('${name}');`).join(" ")}`,
  );
}

async function isStandby(db: DatabaseContext["db"]): Promise<boolean> {
  const { rows } = await db.query<{ standby: boolean }>({ text: "select pg_catalog.pg_is_in_recovery() as standby" });
  return rows[0]?.standby === true;
}

async function checkSynchronousStandbys({ db }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{
    names: string;
    commit: string;
    rows: number;
    known: number;
    answer: number;
    own: boolean;
  }>({
    text: `select pg_catalog.current_setting('synchronous_standby_names') as names,
        pg_catalog.current_setting('synchronous_commit') as commit,
        pg_catalog.count(r.pid)::int4 as rows, pg_catalog.count(r.sync_state)::int4 as known,
        pg_catalog.count(*) filter (where r.sync_state in ('sync', 'quorum'))::int4 as answer,
        coalesce(pg_catalog.bool_or(r.sync_state in ('sync', 'quorum') and r.application_name like 'pgnetd%'), false) as own
      from (select) one left join pg_catalog.pg_stat_replication r on true`,
  });
  const { names = "", commit = "", rows: all = 0, known = 0, answer = 0, own = false } = rows[0] ?? {};
  const needed = standbysNeeded(names);
  if (needed === 0) return ok("commits wait for no standby server");
  if (commit === "local" || commit === "off") {
    return ok(`synchronous_commit is ${commit}: commits wait for no standby server`);
  }
  const fix =
    "start these standby servers, or take out of synchronous_standby_names those that are gone (a failover loses what no standby server has)";
  const which = `synchronous_standby_names is ${JSON.stringify(names)}`;
  if (own) {
    return warning(
      `${which}, which pgnetd's own session matches: commits wait for it as for a standby server`,
      "name the standby servers in synchronous_standby_names, in place of *, and restart pgnetd if that was set while it ran",
    );
  }
  if (answer >= needed) return ok(`${which}, and ${answer} of them answer`);
  if (all > known) return skipped("who answers is shown to members of pg_read_all_stats alone");
  return failure(`${which}, and ${answer} of ${needed} answer: commits wait without end, those of pgnetd, too`, fix);
}
