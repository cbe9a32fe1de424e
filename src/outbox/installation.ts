import { z } from "zod";

import { PgnetdError } from "../base/errors.ts";
import type { Queryable } from "../pg/pool.ts";

const SELECT = { text: "select id::text from net.pgnetd_installation" };

/** The id that tells this database's requests from those of every other: the first part of each `Idempotency-Key`. */
export async function readInstallation(db: Queryable): Promise<string> {
  const { rows } = await db.query(SELECT);
  const parsed = z.object({ id: z.uuid() }).safeParse(rows[0]);
  if (parsed.success) return parsed.data.id;
  throw new PgnetdError("SCHEMA_MISSING", "net.pgnetd_installation has no row", {
    hint: "Put its row back: insert into net.pgnetd_installation default values.",
  });
}
