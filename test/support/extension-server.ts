import { execFile } from "node:child_process";
import { chmod, copyFile, cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { type LocalPostgres, startPostgres } from "../../demo/embedded-postgres.ts";
import { dataParent } from "./data-parent.ts";
import { openTestPool } from "./pool.ts";
import { binariesUnderTest } from "./postgres-versions.ts";
import { pluginSettings } from "./server.ts";

/** A PostgreSQL of its own whose extension folder may be written to. */
export interface ExtensionServer extends AsyncDisposable {
  readonly server: LocalPostgres;
  /** Where `create extension` looks. */
  readonly folder: string;
  /** A fresh database, dropped with the server. */
  database(): Promise<ExtensionDatabase>;
}

/** A database on such a server. */
export interface ExtensionDatabase extends AsyncDisposable {
  readonly name: string;
  /** Its superuser's connection string. */
  readonly url: string;
  readonly pool: pg.Pool;
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
}

/** Starts the PostgreSQL under test from a copy of its binaries. */
export async function startExtensionServer(settings: Readonly<Record<string, string>> = {}): Promise<ExtensionServer> {
  await using stack = new AsyncDisposableStack();
  const copy = await mkdtemp(join(tmpdir(), "pgnetd-binaries-"));
  stack.defer(() => rm(copy, { recursive: true, force: true }));
  await chmod(copy, 0o755);
  const { binaries, folder } = await copyBinaries(await binariesUnderTest(), copy);
  const plugins = process.env["TEST_PG"] === "installed" ? await pluginSettings(binaries) : {};
  const server = stack.use(
    await startPostgres({ binaries, parent: dataParent(), settings: { ...plugins, ...settings } }),
  );
  const owned = stack.move();
  let count = 0;
  return {
    server,
    folder,
    async database() {
      count += 1;
      const name = `moving_${count}`;
      await statement(server.url(), `create database ${name} template template0`);
      const pool = openTestPool({ connectionString: server.url(name), max: 5 });
      return {
        name,
        url: server.url(name),
        pool,
        query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
          (await pool.query<Row>(text, values)).rows,
        [Symbol.asyncDispose]: () => pool.end(),
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The same, with the extension that stands in for pg_net. */
export async function startPgNetServer(): Promise<ExtensionServer> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startExtensionServer());
  await installPgNet(server.folder);
  stack.move();
  return server;
}

/** Makes the roles that are not there: they belong to the whole server. */
export async function createRoles(db: ExtensionDatabase, ...names: readonly string[]): Promise<void> {
  for (const name of names)
    await db.query(`do $$ begin if to_regrole('${name}') is null then create role ${name}; end if; end $$`);
}

/** Puts the extension that stands in for pg_net into an extension folder. */
export async function installPgNet(folder: string): Promise<void> {
  const from = join(import.meta.dirname, "pg-net");
  for (const name of await readdir(from)) await copyFile(join(from, name), join(folder, name));
}

/** PostgreSQL finds its files by the way from its program to them, so that a copy of all is complete. */
async function copyBinaries(home: string, to: string): Promise<{ readonly binaries: string; readonly folder: string }> {
  const options = { recursive: true, verbatimSymlinks: true };
  const config = join(home, "bin", "pg_config");
  if (!existsSync(config)) {
    await cp(home, join(to, "native"), options);
    return { binaries: join(to, "native"), folder: join(to, "native/share/postgresql/extension") };
  }
  const share = (await promisify(execFile)(config, ["--sharedir"])).stdout.trim();
  await cp(home, join(to, home), options);
  await cp(share, join(to, share), options);
  return { binaries: join(to, home), folder: join(to, share, "extension") };
}

async function statement(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
