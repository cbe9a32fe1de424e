import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import pg from "pg";
import { startPostgres } from "../../demo/embedded-postgres.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { type Daemon, startDaemon } from "../../test/support/daemon.ts";
import type { Report } from "./receiver-process.ts";

/** PostgreSQL with the schema, and a receiver; each a process of its own. */
export interface Rig extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly client: pg.Client;
  /** `http://127.0.0.1:port/?n=`, to be completed with a number. */
  readonly receiverUrl: string;
  /** The same of another destination, whose arrivals nobody asks for. */
  readonly otherReceiverUrl: string;
  /** A connection of its own for single requests. */
  readonly trickleClient: pg.Client;
  /** What the receiver got since the last report. */
  report(): Promise<Report>;
  /** Starts a daemon at `rate` (`unlimited` or a number per second); the caller closes it. */
  startDaemon(rate: string): Promise<Daemon>;
}

/** Sets up what is measured. Commits wait for the disk, as in production. */
export async function openRig(settings: Readonly<Record<string, string>> = {}): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(
    await startPostgres({ fsync: true, settings: { shared_buffers: "256MB", max_wal_size: "4GB", ...settings } }),
  );
  await migrate(server.url());
  const [receiver, port] = await startReceiver(stack);
  const [, otherPort] = await startReceiver(stack);
  const [client, trickleClient] = [await connectTo(server.url(), stack), await connectTo(server.url(), stack)];
  const owned = stack.move();
  return {
    databaseUrl: server.url(),
    client,
    trickleClient,
    receiverUrl: `http://127.0.0.1:${port}/?n=`,
    otherReceiverUrl: `http://127.0.0.8:${otherPort}/?n=`,
    async report() {
      receiver.send("report");
      const [report] = (await once(receiver, "message")) as [Report];
      return report;
    },
    startDaemon: (rate) =>
      startDaemon({ databaseUrl: server.url(), env: { PGNETD_RATE_PER_SECOND: rate, PGNETD_LOG_LEVEL: "warn" } }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
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
