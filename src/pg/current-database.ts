import type { Queryable } from "./pool.ts";

/** The name of the database behind `db`. */
export async function currentDatabase(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ name: string }>({ text: "select pg_catalog.current_database()::text as name" });
  return rows[0]?.name ?? "";
}
