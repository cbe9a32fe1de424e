import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";
import { type FaultServer, startFaultServer, wrapServer } from "./fault-server.ts";
import { binariesUnderTest } from "./postgres-versions.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { startStandby } from "./standby.ts";

/** How the standby follows. */
export interface FailoverOptions {
  /** Commits wait until the standby has them, so that none is lost with the primary. Default true. */
  readonly synchronous?: boolean;
  /** Slots made for failover are kept on the standby, too (PostgreSQL 17 and newer). Default false. */
  readonly syncSlots?: boolean;
}

/** A primary, its physical standby, and an address that leads to whichever of them it was pointed at. */
export interface Failover extends AsyncDisposable {
  readonly primary: FaultServer;
  readonly standby: FaultServer;
  /** Leads to the primary until `point`. */
  readonly url: string;
  /** The address leads to the standby from now on; connections there are end. */
  point(): void;
  /** Nothing passes any more from the primary to its standby. */
  detach(): void;
  /** SIGKILL to the primary, then the standby is promoted. */
  failOver(): Promise<void>;
}

/** True where the server under test can keep slots on a standby, too. */
export async function canSyncSlots(): Promise<boolean> {
  const { stdout } = await promisify(execFile)(join(await binariesUnderTest(), "bin", "postgres"), ["--version"]);
  return Number(/(\d+)\./.exec(stdout)?.[1]) >= 17;
}

/** The physical slot by which the standby follows where slots are synchronised. */
const STANDBY_SLOT = "standby";

/** Starts both; resolves when the standby follows. */
export async function startFailover(options: FailoverOptions = {}): Promise<Failover> {
  const { synchronous = true, syncSlots = false } = options;
  await using made = new AsyncDisposableStack();
  const primary = made.use(await startFaultServer({ wal_keep_size: "256MB" }));
  const { port, user, password } = primary.server;
  const between = made.use(await startProxy(primary.url));
  const conninfo = `host=127.0.0.1 port=${between.port} user=${user} password=${password} dbname=postgres`;
  if (syncSlots) await primary.query("select pg_create_physical_replication_slot($1, true)", [STANDBY_SLOT]);
  const settings = syncSlots
    ? { primary_slot_name: STANDBY_SLOT, sync_replication_slots: "on", hot_standby_feedback: "on" }
    : {};
  const server = await startStandby(primary.server, { primary_conninfo: conninfo, ...settings });
  const standby = made.use(wrapServer(server));
  await eventually(async () => (await primary.query("select from pg_stat_replication")).length === 1);
  // Not before the copy: the promoted one has no standby of its own.
  if (synchronous) await setOn(primary, "synchronous_standby_names", "*");
  if (syncSlots) await setOn(primary, "synchronized_standby_slots", STANDBY_SLOT);
  const front: Proxy = made.use(await startProxy(`127.0.0.1:${port}`));
  const all = made.move();
  return {
    primary,
    standby,
    url: front.through(primary.url),
    point() {
      front.retarget(standby.url);
      front.cut();
    },
    detach() {
      between.pause();
    },
    async failOver() {
      await primary.server.kill();
      await standby.query("select pg_promote(true, 20)");
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function setOn(server: FaultServer, name: string, value: string): Promise<void> {
  await server.query(`alter system set ${name} = '${value}'`);
  await server.query("select pg_reload_conf()");
  await eventually(async () => {
    const rows = await server.query("select from pg_settings where name = $1 and setting = $2", [name, value]);
    return rows.length === 1;
  });
}

/** Resolves when the standby has a slot of the primary's that it will keep when it is promoted. */
export async function slotSynchronised({ primary, standby }: Failover): Promise<void> {
  await eventually(async () => {
    // What is running is logged now and not some time later: the slot becomes of use with it.
    await primary.query("select pg_log_standby_snapshot()");
    const rows = await standby.query("select from pg_replication_slots where synced and not temporary");
    return rows.length === 1;
  }, 20_000);
}

/** Resolves when everything written on the primary so far is visible on the standby. */
export async function caughtUp({ primary, standby }: Failover): Promise<void> {
  const [written] = await primary.query("select pg_current_wal_insert_lsn()::text as lsn");
  await eventually(async () => {
    const rows = await standby.query("select where pg_last_wal_replay_lsn() >= $1::pg_lsn", [written?.["lsn"]]);
    return rows.length === 1;
  });
}
