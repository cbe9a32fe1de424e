import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type LocalPostgres, startPostgres } from "../../demo/embedded-postgres.ts";
import { startDockerPostgres } from "./docker-postgres.ts";
import { dataParent } from "./data-parent.ts";
import { binariesUnderTest, wantedMajor } from "./postgres-versions.ts";

/** Where the PostgreSQL under test comes from. */
export type ServerKind = "given" | "docker" | "embedded" | "installed";

/** The one PostgreSQL of a test run. */
export interface RunServer extends AsyncDisposable {
  readonly kind: ServerKind;
  /** A superuser's connection to the maintenance database. */
  readonly url: string;
}

/** For a server that lives as long as one test run. */
const SETTINGS: Readonly<Record<string, string>> = {
  wal_level: "logical",
  max_wal_senders: "50",
  max_replication_slots: "50",
  max_connections: "300",
  max_prepared_transactions: "50",
  fsync: "off",
  full_page_writes: "off",
};

/**
 * The server that `TEST_PG` asks for: `TEST_DATABASE_URL` where given, else Docker where it answers, else the embedded
 * binaries. `TEST_PG=docker` or `embedded` demands one, so that a broken Docker does not go unnoticed; `installed` takes
 * the binaries in `TEST_PG_BIN`.
 */
export async function startRunServer(env: NodeJS.ProcessEnv = process.env): Promise<RunServer> {
  const wish = env["TEST_PG"] ?? "auto";
  if (wish !== "auto" && wish !== "docker" && wish !== "embedded" && wish !== "installed") {
    throw new Error(`TEST_PG is ${JSON.stringify(wish)}; it must be one of auto, docker, embedded, installed`);
  }
  const given = env["TEST_DATABASE_URL"];
  if (given !== undefined && given !== "") {
    if (wish !== "auto") throw new Error(`TEST_PG=${wish} and TEST_DATABASE_URL exclude each other`);
    return { kind: "given", url: given, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  if (wish === "embedded" || wish === "installed") return local(wish);
  try {
    const server = await startDockerPostgres(wantedMajor(), SETTINGS);
    return { kind: "docker", url: server.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  } catch (error) {
    if (wish === "docker") throw error;
    return local("embedded");
  }
}

async function local(kind: "embedded" | "installed"): Promise<RunServer> {
  const binaries = await binariesUnderTest();
  const plugins = kind === "installed" ? await pluginSettings(binaries) : {};
  const server = await startPostgres({ binaries, parent: dataParent(), settings: { ...SETTINGS, ...plugins } });
  return { kind, url: server.url(), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/**
 * A PostgreSQL for one test alone, which may stop, kill and configure it: of `TEST_PG_VERSION` from the embedded
 * binaries, or the installed one; with fsync on, so that a crash of the server is a real one.
 */
export async function testServer(settings: Readonly<Record<string, string>> = {}): Promise<LocalPostgres> {
  const binaries = await binariesUnderTest();
  const plugins = process.env["TEST_PG"] === "installed" ? await pluginSettings(binaries) : {};
  return startPostgres({ binaries, parent: dataParent(), settings: { ...plugins, ...settings }, fsync: true });
}

/** The output plugins that tests use, where an installed server must be configured to trust them: from August 2026 on. */
export async function pluginSettings(binaries: string): Promise<Readonly<Record<string, string>>> {
  const known = await promisify(execFile)(join(binaries, "bin", "postgres"), ["--describe-config"], {
    maxBuffer: 16 * 1024 * 1024,
  });
  return known.stdout.includes("output_plugin_libraries")
    ? { output_plugin_libraries: "pgoutput, test_decoding, wal2json" }
    : {};
}
