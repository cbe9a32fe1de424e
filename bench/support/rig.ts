import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { startPostgres } from "../../demo/embedded-postgres.ts";
import type { Daemon, DaemonOptions } from "../../test/support/daemon.ts";
import type { Report } from "./receiver-process.ts";

const OWN_FOLDER = join(import.meta.dirname, "../..");

/** PostgreSQL with the schema, and a receiver; each a process of its own. */
export interface Rig extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly client: pg.Client;
  /** `http://127.0.0.1:port/?n=`, to be completed with a number. */
  readonly receiverUrl: string;
  /** The same receiver at another loopback address: a destination of its own for each `host`. */
  readonly hostUrl: (host: number) => string;
  /** The same of another destination, whose arrivals nobody asks for. */
  readonly otherReceiverUrl: string;
  /** A connection of its own for single requests. */
  readonly trickleClient: pg.Client;
  /** What the receiver got since the last report. */
  report(): Promise<Report>;
  /** Starts a daemon at `rate` (`unlimited` or a number per second); the caller closes it. */
  startDaemon(rate: string): Promise<Daemon>;
}

/** Options of `openRig`. */
export interface RigOptions {
  /** Server settings. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The working copy whose schema and daemon are measured. Default: this one. */
  readonly folder?: string;
}

/** Sets up what is measured. Commits wait for the disk, as in production. */
export async function openRig({ settings = {}, folder = OWN_FOLDER }: RigOptions = {}): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(
    await startPostgres({ fsync: true, settings: { shared_buffers: "256MB", max_wal_size: "4GB", ...settings } }),
  );
  const databaseUrl = server.url();
  await promisify(execFile)(process.execPath, [join(folder, "src/cli/main.ts"), "migrate"], {
    env: { PATH: process.env["PATH"], DATABASE_URL: databaseUrl },
  });
  const [receiver, port] = await startReceiver(stack);
  const [, otherPort] = await startReceiver(stack);
  const [client, trickleClient] = [await connectTo(databaseUrl, stack), await connectTo(databaseUrl, stack)];
  const daemons = (await import(pathToFileURL(join(folder, "test/support/daemon.ts")).href)) as DaemonModule;
  // What it compiled is kept.
  await (await daemons.startDaemon({ databaseUrl, env: daemonEnvironment("1") })).stop();
  stack.defer(() => rm(COMPILE_CACHE, { recursive: true, force: true }));
  const owned = stack.move();
  return {
    databaseUrl,
    client,
    trickleClient,
    receiverUrl: `http://127.0.0.1:${port}/?n=`,
    hostUrl: (host) => `http://${loopbackAddress(host)}:${port}/?n=`,
    otherReceiverUrl: `http://127.0.0.8:${otherPort}/?n=`,
    async report() {
      receiver.send("report");
      const [report] = (await once(receiver, "message")) as [Report];
      return report;
    },
    startDaemon: (rate) => daemons.startDaemon({ databaseUrl, env: daemonEnvironment(rate) }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a version's own `test/support/daemon.ts` exports. */
interface DaemonModule {
  startDaemon(options: DaemonOptions): Promise<Daemon>;
}

/**
 * As in the image. `BENCH_NODE_OPTIONS`, such as `--cpu-prof --cpu-prof-dir=/tmp/profiles`, is for the daemon alone, in place of the
 * image's options.
 */
function daemonEnvironment(rate: string): Readonly<Record<string, string>> {
  return {
    PGNETD_RATE_PER_SECOND: rate,
    PGNETD_LOG_LEVEL: "warn",
    NODE_OPTIONS: process.env["BENCH_NODE_OPTIONS"] ?? "--max-semi-space-size=8",
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
}

const COMPILE_CACHE = join(tmpdir(), `pgnetd-bench-${process.pid}`);

/** Addresses of the loopback network, from 127.1.0.1 on. */
export function loopbackAddress(host: number): string {
  return `127.${1 + Math.floor(host / 62_500)}.${Math.floor(host / 250) % 250}.${1 + (host % 250)}`;
}

async function startReceiver(stack: AsyncDisposableStack): Promise<readonly [ChildProcess, port: number]> {
  const receiver = fork(join(import.meta.dirname, "receiver-process.ts"), { serialization: "advanced" });
  stack.defer(() => receiver.disconnect());
  const [port] = (await once(receiver, "message")) as [number];
  return [receiver, port];
}

async function connectTo(connectionString: string, stack: AsyncDisposableStack): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  stack.defer(() => client.end());
  return client;
}
