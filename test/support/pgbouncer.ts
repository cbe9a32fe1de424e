import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile, chown } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../demo/free-port.ts";
import { unprivileged } from "../../demo/postgres-binaries.ts";
import { eventually } from "./eventually.ts";

const PROGRAM: string = "pgbouncer";

/** Where PgBouncer is installed, what it says of its version; null where it is not. */
export const PGBOUNCER: string | null = (() => {
  const { status, stdout } = spawnSync(PROGRAM, ["--version"], { env: { PATH: PATH() }, encoding: "utf8" });
  return status === 0 ? (stdout.split("\n")[0] ?? "") : null;
})();

/** A PgBouncer in front of one database. */
export interface PgBouncer extends AsyncDisposable {
  /** The database's URL through it. */
  readonly url: string;
}

/** Debian puts it beside what administrators use. */
function PATH(): string {
  return `${process.env["PATH"] ?? ""}:/usr/sbin`;
}

/** Starts one that pools transactions in front of `databaseUrl`; `settings` are lines of its configuration. */
export async function startPgBouncer(databaseUrl: string, settings = ""): Promise<PgBouncer> {
  const target = new URL(databaseUrl);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-pgbouncer-"));
  const user = unprivileged();
  const file = join(folder, "pgbouncer.ini");
  const database = target.pathname.slice(1);
  await writeFile(
    file,
    `[databases]
${database} = host=${target.hostname} port=${target.port} user=${target.username} password=${target.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
${settings}
`,
  );
  if (user.uid !== undefined && user.gid !== undefined) {
    await chown(folder, user.uid, user.gid);
    await chown(file, user.uid, user.gid);
  }
  const child = spawn(PROGRAM, [file], { ...user, cwd: folder, stdio: "ignore", env: { PATH: PATH() } });
  const ended = once(child, "exit");
  await eventually(() => isListening(port));
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}
