import { PgnetdError } from "../base/errors.ts";
import { endHint, holderText } from "../pg/lock-owner.ts";
import { readHolder, readWaitingStranger } from "../leader/holder.ts";
import { leaderProblem, slotProblem } from "../ops/status-problem.ts";
import { encodingProblem } from "../slot/preparation.ts";
import { decideSlot } from "../slot/slot.ts";
import { openDecoder } from "../wal/decoder.ts";
import { readForeignPublications } from "../wal/foreign-publications.ts";
import { assertPublished, selectPublications } from "../wal/publication-check.ts";
import { type Check, type DatabaseContext, failure, mebibytes, ok, type Result, warning } from "./check.ts";
import { setParameter } from "./remedies.ts";
import { readSlotState } from "./slot-state.ts";
import { raisedLimit, readMostRetained } from "./wal-limit.ts";

const INSTALLED = { group: "stream", stage: "installed", needs: ["schema-version"], on: "database" } as const;

/** Who leads, and whether every committed request reaches it at once. */
export const STREAM_CHECKS: readonly Check[] = [
  {
    id: "leader",
    ...INSTALLED,
    run: async ({ db }: DatabaseContext) => {
      const holder = await readHolder(db);
      const problem = leaderProblem(holder);
      if (problem !== null) return failure(problem.message, problem.hint);
      const waiting = await readWaitingStranger(db);
      if (waiting !== null) {
        const found = `${holderText(waiting)} waits for the leader's lock and is no pgnetd: it has the lock when the daemon ends, and nothing is sent then`;
        return warning(found, endHint(waiting));
      }
      return ok(holder === null ? "" : `${holderText(holder)} leads`);
    },
  },
  { id: "publications", ...INSTALLED, run: checkPublications },
  { id: "slot", group: "stream", stage: "always", on: "database", run: checkSlot },
  { id: "slot-plugin", group: "stream", stage: "always", on: "database", run: checkPlugin },
  { id: "slot-creation", group: "stream", stage: "always", on: "database", run: checkCreation },
  { id: "replica-identity", ...INSTALLED, run: checkIdentities },
  { id: "foreign-publications", ...INSTALLED, run: checkForeignPublications },
];

async function checkPublications({ db, config }: DatabaseContext): Promise<Result> {
  const { publications } = openDecoder(config.slot.plugin);
  if (publications.length === 0) return ok(`${config.slot.plugin} reads no publications`);
  try {
    assertPublished((await db.query({ text: selectPublications(publications) })).rows);
    return ok(`${publications.map(({ name }) => name).join(" and ")} publish every insert, whole`);
  } catch (error) {
    if (!(error instanceof PgnetdError)) throw error;
    return failure(
      `${error.message}: requests do not come by the stream. A daemon notices within seconds, and sweeps the outbox once a second from then on`,
      error.hint,
    );
  }
}

async function checkSlot({ db, config, server }: DatabaseContext): Promise<Result> {
  const state = await readSlotState(db, server.slotName);
  const holder = await readHolder(db);
  const leads = leaderProblem(holder) === null;
  const { row, health, retainedWalBytes, safeWalBytes } = state;
  if (row === null && !leads) return ok(`there is no slot ${server.slotName} yet: the daemon makes it`);
  if (health === "creating") return ok("it is being created");
  const wanted = { ...config.slot, name: server.slotName };
  const decision = decideSlot(row, wanted, { database: server.database, renew: false });
  const isLeaders = row?.activePid !== null && row?.activePid === holder?.pid;
  if (decision.kind === "refuse" && !isLeaders) return failure(decision.why, decision.hint);
  const held = `${mebibytes(retainedWalBytes ?? 0)} of WAL are held for it`;
  switch (health) {
    case "lost": {
      const why = state.invalidation === null ? "" : ` (${state.invalidation})`;
      return warning(
        `the server has invalidated slot ${server.slotName}${why}: the daemon recreates it and reads the outbox`,
        leads ? "see its log for what keeps it from doing so" : "start a daemon: pgnetd run",
      );
    }
    case "at_risk": {
      const left = safeWalBytes === null ? "" : `, and ${mebibytes(Math.max(0, safeWalBytes))} are left`;
      const value = raisedLimit(await readLimit(db), (await readMostRetained(db))?.bytes ?? 0);
      const raise = { name: "max_slot_wal_keep_size", value, restart: false } as const;
      return warning(
        `slot ${server.slotName} is about to be invalidated: ${held}${left}`,
        leads ? setParameter(server.provider, raise) : "start a daemon: pgnetd run",
      );
    }
    case "ok":
      if (row?.activePid !== null || !leads) return ok(`${server.slotName} is ok: ${held}`);
      return failure(
        `a daemon leads and does not read slot ${server.slotName}: ${held}`,
        "see its log and /readyz for what keeps it from streaming",
      );
    case "missing":
    case "unknown": {
      const problem = slotProblem({ slot: health, slotName: server.slotName, slotBlockers: state.blockers });
      return failure(problem?.message ?? "", problem?.hint ?? "");
    }
  }
}

/** In megabytes, the setting's own unit; -1 is none. */
async function readLimit(db: DatabaseContext["db"]): Promise<number> {
  const { rows } = await db.query<{ megabytes: number }>({
    text: "select setting::int4 as megabytes from pg_catalog.pg_settings where name = 'max_slot_wal_keep_size'",
  });
  return rows[0]?.megabytes ?? 0;
}

const SELECT_PLUGIN = `
select pg_catalog.current_setting('server_encoding') as encoding,
  pg_catalog.current_setting('output_plugin_libraries', true) as trusted`;

/** Whether the server loads an output plugin: `trusted` is `output_plugin_libraries`, null where the server has no such setting. */
export function isPluginTrusted(plugin: string, trusted: string | null): boolean {
  if (plugin === "pgoutput" || trusted === null) return true;
  return namesIn(trusted).includes(plugin);
}

/** `output_plugin_libraries` with another plugin: slots that others read through the rest go on. */
export function trustedWith(plugin: string, trusted: string): string {
  return [...new Set(["pgoutput", ...namesIn(trusted.replaceAll('"', "")), plugin])].join();
}

function namesIn(list: string): readonly string[] {
  return list.split(",").flatMap((name) => name.trim() || []);
}

async function checkPlugin({ db, config, server }: DatabaseContext): Promise<Result> {
  const { plugin } = config.slot;
  const { rows } = await db.query<{ encoding: string; trusted: string | null }>({ text: SELECT_PLUGIN });
  const { encoding = "", trusted = null } = rows[0] ?? {};
  const problem = encodingProblem(openDecoder(plugin), encoding);
  if (problem !== null) return failure(problem.message, problem.hint);
  if (trusted !== null && !isPluginTrusted(plugin, trusted)) {
    const value = trustedWith(plugin, trusted);
    return failure(
      `the server trusts ${trusted === "" ? "no output plugin but its own" : trusted}`,
      setParameter(server.provider, { name: "output_plugin_libraries", value, restart: false }),
    );
  }
  const { row } = await readSlotState(db, server.slotName);
  if (row === null || row.plugin === plugin) return ok(`slot.plugin is ${plugin}`);
  return warning(
    `the slot was made for ${row.plugin ?? "physical replication"}, and slot.plugin is ${plugin}: the next start recreates it`,
    `set slot.plugin (PGNETD_SLOT_PLUGIN) as the daemon has it, or restart the daemon`,
  );
}

async function checkCreation({ db, server }: DatabaseContext): Promise<Result> {
  const { health, blockers } = await readSlotState(db, server.slotName);
  if (health !== "creating") return ok("no slot is being created");
  const problem = slotProblem({ slot: health, slotName: server.slotName, slotBlockers: blockers });
  if (blockers.length === 0) return ok("it is being created, and nothing is in the way");
  return failure(problem?.message ?? "", problem?.hint ?? "");
}

/** A table without any identity refuses updates and deletes while a publication has them. */
const SELECT_BARE = `
select pg_catalog.format('%I.%I', t.schemaname, t.tablename) as bare, pg_catalog.string_agg(p.pubname, ', ' order by p.pubname) as names
from pg_catalog.pg_publication_tables t join pg_catalog.pg_publication p on p.pubname = t.pubname
join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schemaname, t.tablename))
left join pg_catalog.pg_index i on i.indrelid = c.oid and (
  c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)
where t.schemaname = 'net' and (p.pubupdate or p.pubdelete) and c.relreplident <> 'f' and i.indrelid is null
group by 1 order by 1`;

async function checkIdentities({ db }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ bare: string; names: string }>({ text: SELECT_BARE });
  if (rows.length === 0) return ok("rows of published tables can be identified");
  return failure(
    `PostgreSQL refuses to update and delete rows of ${rows.map(({ bare, names }) => `${bare} (in publication ${names})`).join(", ")}`,
    rows.map(({ bare }) => `alter table ${bare} replica identity full;`).join(" "),
  );
}

async function checkForeignPublications({ db }: DatabaseContext): Promise<Result> {
  const foreign = await readForeignPublications(db);
  if (foreign.length === 0) return ok("no publication of others has requests or answers");
  return warning(
    `who subscribes to ${foreign.map(({ name }) => name).join(", ")} receives requests, with headers and bodies, or answers`,
    foreign.map(({ hint }) => hint).join(" "),
  );
}
