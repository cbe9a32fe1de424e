import pg from "pg";
import { eventually } from "./eventually.ts";

/** Drops a database whatever still holds it: new sessions are refused, the others ended, its slots dropped. */
export async function dropDatabase(admin: pg.ClientBase, name: string): Promise<void> {
  const quoted = pg.escapeIdentifier(name);
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
  const { rows } = await admin.query<{ gid: string }>(
    "select gid from pg_catalog.pg_prepared_xacts where database = $1",
    [name],
  );
  if (rows.length > 0)
    throw new Error(`prepared transactions left in ${name}: ${rows.map((row) => row.gid).join(", ")}`);
  await admin.query(`drop database if exists ${quoted} with (force)`);
}
