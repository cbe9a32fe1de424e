import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { startPostgres } from "../../demo/embedded-postgres.ts";
import { dataParent } from "./data-parent.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { pluginSettings } from "./server.ts";
import { type FaultServer, wrapServer } from "./fault-server.ts";

/** `bin` of a PostgreSQL that has the output plugin wal2json: `TEST_WAL2JSON_BIN`, else where Debian has it. */
const BIN = process.env["TEST_WAL2JSON_BIN"] ?? "/usr/lib/postgresql/15/bin";

/** True where there is such a server. CI must have one: there its absence is a failure, not a reason to skip. */
export function hasWal2json(): boolean {
  const home = dirname(BIN);
  const there = ["lib/wal2json.so", "lib/postgresql/wal2json.so"].some((file) => existsSync(join(home, file)));
  if (there || process.env["CI"] === undefined) return there;
  throw new Error(
    `no wal2json beside ${BIN}: install postgresql-15 and postgresql-15-wal2json, or set TEST_WAL2JSON_BIN`,
  );
}

/** A server with wal2json, and pgnetd's schema in its database `postgres`. */
export async function startWal2jsonServer(settings: Readonly<Record<string, string>> = {}): Promise<FaultServer> {
  const binaries = dirname(BIN);
  const all = { ...(await pluginSettings(binaries)), ...settings };
  const server = await startPostgres({ binaries, parent: dataParent(), settings: all, fsync: true });
  await migrate(server.url());
  return wrapServer(server);
}
