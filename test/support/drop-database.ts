import pg from "pg";
import { eventually } from "./eventually.ts";

/**
 * Drops a database whatever still holds it: its prepared transactions are rolled back, which hold up every slot of the server, new
 * sessions are refused, the others ended, its slots dropped. Rejects afterwards where it had prepared transactions.
 */
export async function dropDatabase(admin: pg.Client, name: string): Promise<void> {
  const quoted = pg.escapeIdentifier(name);
  const prepared = await rollBackPrepared(admin, name);
  await admin.query(
    `update pg_catalog.pg_database set datistemplate = false, datallowconn = false where datname = $1`,
    [name],
  );
  await eventually(async () => {
    await admin.query("select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where datname = $1", [name]);
    await admin.query(
      "select pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots where database = $1 and not active",
      [name],
    );
    const { rows } = await admin.query("select from pg_catalog.pg_replication_slots where database = $1", [name]);
    return rows.length === 0;
  });
  await admin.query(`drop database if exists ${quoted} with (force)`);
  if (prepared.length > 0) throw new Error(`prepared transactions were left in ${name}: ${prepared.join(", ")}`);
}

/** Which is possible from within their database alone. */
async function rollBackPrepared(admin: pg.Client, name: string): Promise<readonly string[]> {
  const { rows } = await admin.query<{ gid: string }>(
    "select gid from pg_catalog.pg_prepared_xacts where database = $1",
    [name],
  );
  if (rows.length === 0) return [];
  const { host, port, user, password } = admin;
  const client = new pg.Client({ host, port, database: name, ...(user !== undefined && { user }), password });
  await client.connect();
  try {
    for (const { gid } of rows) await client.query(`rollback prepared ${pg.escapeLiteral(gid)}`);
  } finally {
    await client.end();
  }
  return rows.map(({ gid }) => gid);
}
