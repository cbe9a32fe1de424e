import { chmod, cp, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import pg from "pg";
import { type LocalPostgres, startPostgres } from "../../demo/embedded-postgres.ts";
import { dataParent } from "./data-parent.ts";
import { runProgram, unprivileged } from "../../demo/postgres-binaries.ts";
import { binariesUnderTest } from "./postgres-versions.ts";

/** What a backup leaves out: https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP-DATA */
const LEFT_OUT = new Set(["postmaster.pid", "postmaster.opts"]);
const EMPTIED = ["pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"];

/**
 * A physical standby of `primary` that streams from it; promote it with `select pg_promote()`. It has none of the primary's
 * slots unless `settings` make the server synchronise them.
 */
export async function startStandby(
  primary: LocalPostgres,
  settings: Readonly<Record<string, string>> = {},
): Promise<LocalPostgres> {
  const { port, user, password } = primary;
  return startPostgres({
    binaries: await binariesUnderTest(),
    parent: dataParent(),
    fsync: true,
    settings: {
      primary_conninfo: `host=127.0.0.1 port=${port} user=${user} password=${password} dbname=postgres`,
      hot_standby: "on",
      ...settings,
    },
    data: { password, fill: (folder) => copyOnline(primary, folder) },
  });
}

/** PostgreSQL's low-level backup: the binaries have no pg_basebackup. */
async function copyOnline(primary: LocalPostgres, folder: string): Promise<void> {
  const client = new pg.Client({ connectionString: primary.url() });
  await client.connect();
  try {
    const version = await client.query<{ n: number }>("select current_setting('server_version_num')::int as n");
    const old = (version.rows[0]?.n ?? 0) < 150_000;
    await client.query(
      old ? "select pg_start_backup('standby', true, false)" : "select pg_backup_start('standby', true)",
    );
    await cp(primary.dataFolder, folder, { recursive: true, filter: (path) => isCopied(path, primary.dataFolder) });
    const { rows } = await client.query<{ labelfile: string }>(
      old ? "select labelfile from pg_stop_backup(false, false)" : "select labelfile from pg_backup_stop(false)",
    );
    await writeFile(join(folder, "backup_label"), rows[0]?.labelfile ?? "");
  } finally {
    await client.end();
  }
  for (const name of EMPTIED) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "standby.signal"), "");
  const { uid, gid } = unprivileged();
  if (uid !== undefined) await runProgram("chown", ["-R", `${uid}:${gid}`, folder], { cwd: "/" });
  await chmod(folder, 0o700);
}

function isCopied(path: string, root: string): boolean {
  if (LEFT_OUT.has(basename(path))) return false;
  return !EMPTIED.some((name) => path.startsWith(join(root, name) + "/"));
}
