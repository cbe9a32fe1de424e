import { join, resolve } from "node:path";

import { placeholderForPgTle, writePlaceholder } from "../pg/placeholder.ts";
import type { CommandContext } from "./context.ts";

const WHERE = `The placeholder goes into the extension folder of the server, on its machine:
  pgnetd extension "$(pg_config --sharedir)/extension"
select setting || '/extension' from pg_config where name = 'SHAREDIR' names the same folder, for superusers.
PostgreSQL 18 and newer also read others, such as /opt/pgnetd/extension:
  pgnetd extension /opt/pgnetd/extension, and in postgresql.conf: extension_control_path = '$system:/opt/pgnetd'
Without access to the server's files, but with pg_tle in the database: pgnetd extension --pg-tle prints the SQL.
Without either: ask for a function instead of the extension, such as to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') is not null.`;

/** What `pgnetd extension` takes. */
export interface ExtensionFlags {
  readonly pgTle?: boolean;
}

/** `pgnetd extension`: writes the placeholder extension into a folder, prints it for pg_tle, or says where it goes. */
export async function extension(
  given: string | undefined,
  flags: ExtensionFlags,
  { print }: CommandContext,
): Promise<void> {
  if (flags.pgTle === true) {
    print(await placeholderForPgTle());
  } else if (given === undefined) {
    print(WHERE);
  } else {
    const folder = resolve(given);
    const files = await writePlaceholder(folder);
    print(`${join(folder, "pg_net.control")} and ${files - 1} scripts are written; now create extension pg_net works`);
  }
}
