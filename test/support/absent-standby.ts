import { connectClient } from "./fault-clients.ts";
import type { FaultServer } from "./fault-server.ts";
import { eventually } from "./eventually.ts";

/** A commit of no meaning to anybody. */
const COMMIT = "select pg_logical_emit_message(true, 'test', '')";

/**
 * Names a standby that is not there: from then on commits wait for it where the session's `synchronous_commit` is `on`. Resolves
 * when they do, which is some time after the settings of sessions have changed: another process of the server sees to it.
 */
export async function requireAbsentStandby(db: FaultServer): Promise<void> {
  await db.query("alter system set synchronous_standby_names = 'nobody'");
  await db.query("select pg_reload_conf()");
  await using client = await connectClient(db.url);
  await client.query("set synchronous_commit = on");
  const [session] = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  await eventually(async () => {
    let hasEnded = false;
    const commit = client.query(COMMIT).finally(() => (hasEnded = true));
    commit.catch(() => undefined);
    const waits = await eventually(async () => {
      if (hasEnded) return "ended";
      return (await commitsWaiting(db, session?.pid)) === 1 && "waits";
    });
    if (waits === "ended") return false;
    // Ends the waiting, not the commit.
    await db.query("select pg_cancel_backend($1)", [session?.pid]);
    await commit;
    return true;
  });
}

/** Every commit ends without a standby again, those that wait included. */
export async function requireNoStandby(db: FaultServer): Promise<void> {
  await db.query("alter system reset synchronous_standby_names");
  await db.query("select pg_reload_conf()");
}

/** How many sessions, or whether that of process `pid`, wait in a commit for the standby. */
export async function commitsWaiting(db: FaultServer, pid: number | null = null): Promise<number> {
  const waiting = "select from pg_stat_activity where wait_event = 'SyncRep' and ($1::int is null or pid = $1)";
  return (await db.query(waiting, [pid])).length;
}
