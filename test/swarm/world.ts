import { chmod, chown, copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unprivileged } from "../../demo/postgres-binaries.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { type FaultServer, wrapServer } from "../support/fault-server.ts";
import { hasWal2json, startWal2jsonServer } from "../support/fault-wal2json.ts";
import { testServer } from "../support/server.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { DaemonSlot } from "./daemon-slot.ts";
import { type Destinations, startDestinations } from "./destinations.ts";
import type { Plan } from "./draw.ts";
import { Journal } from "./journal.ts";
import { environmentOf, type Settings } from "./settings.ts";

/** Everything real that a run has. */
export interface World extends AsyncDisposable {
  readonly plan: Plan;
  readonly db: FaultServer;
  /** The server's version. */
  readonly version: string;
  readonly daemons: readonly DaemonSlot[];
  readonly destinations: Destinations;
  readonly journal: Journal;
}

/** What callers note in the transaction of what they do: it is there exactly where that was committed. */
const NOTES = `
  create schema swarm;
  create table swarm.made (key bigint primary key, id bigint not null);
  create table swarm.cancelled (id bigint not null, attempts int not null, due timestamptz, at timestamptz not null);
  create table swarm.replayed (id bigint not null, attempts int not null);`;

/** Starts server, receivers and daemons. */
export async function openWorld(plan: Plan): Promise<World> {
  await using made = new AsyncDisposableStack();
  const journal = new Journal();
  const tls = made.use(await tlsFiles());
  const { db, settings } = await startServer(plan.settings, tls.settings);
  made.use(db);
  await db.query(NOTES);
  const [row] = await db.query<{ version: string }>("select current_setting('server_version') as version");
  const destinations = made.use(await startDestinations(settings.destinations, settings.answersMs, plan.seed));
  const url = new URL(db.url);
  if (settings.tls) {
    url.searchParams.set("sslmode", "verify-full");
    url.searchParams.set("sslrootcert", join(import.meta.dirname, "../support/tls/ca.pem"));
  }
  const daemons: DaemonSlot[] = [];
  for (let index = 0; index < settings.daemons; index++) {
    const env = environmentOf(settings);
    daemons.push(made.use(await DaemonSlot.open(url.href, `daemon ${index}`, env, journal)));
  }
  const all = made.move();
  return {
    plan: { ...plan, settings },
    db,
    version: row?.version ?? "?",
    daemons,
    destinations,
    journal,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Resolves when one of the daemons streams. */
export async function someLive(daemons: readonly DaemonSlot[], withinMs = 60_000): Promise<void> {
  await eventually(async () => {
    const states = await Promise.all(daemons.map((daemon) => daemon.state()));
    return states.includes("live");
  }, withinMs);
}

/** The server, and the settings that hold on it. */
async function startServer(
  drawn: Settings,
  tls: Readonly<Record<string, string>>,
): Promise<{ readonly db: FaultServer; readonly settings: Settings }> {
  const server = {
    ...(drawn.waitForStandby === "all" ? {} : { synchronous_commit: "local" }),
    ...(drawn.tls ? tls : {}),
  };
  const isOther = SLOT_PLUGIN === "pgoutput" && drawn.plugin === "wal2json" && hasWal2json();
  const plugin = isOther ? "wal2json" : SLOT_PLUGIN;
  const db = isOther ? await startWal2jsonServer(server) : await startOwn(server);
  const [row] = await db.query<{ major: number }>("select current_setting('server_version_num')::int / 10000 as major");
  const hasFailover = (row?.major ?? 0) >= 17;
  const slot = drawn.slot === "failover" && !hasFailover ? "permanent" : drawn.slot;
  return { db, settings: { ...drawn, plugin, slot } };
}

async function startOwn(settings: Readonly<Record<string, string>>): Promise<FaultServer> {
  const server = await testServer(settings);
  await migrate(server.url());
  return wrapServer(server);
}

/** A certificate that the server's user may read, for loopback. */
async function tlsFiles(): Promise<AsyncDisposable & { readonly settings: Readonly<Record<string, string>> }> {
  const source = join(import.meta.dirname, "../support/tls");
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-swarm-tls-"));
  const { uid, gid } = unprivileged();
  const files = ["server.pem", "server.key"].map((name) => join(folder, name));
  for (const name of ["server.pem", "server.key"]) await copyFile(join(source, name), join(folder, name));
  for (const file of files) await chmod(file, 0o600);
  if (uid !== undefined && gid !== undefined) for (const file of [folder, ...files]) await chown(file, uid, gid);
  return {
    settings: { ssl: "on", ssl_cert_file: join(folder, "server.pem"), ssl_key_file: join(folder, "server.key") },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
