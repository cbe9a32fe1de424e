import type { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { migrate, type MigrateOptions } from "../pg/migrate.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { move, type MoveFlags } from "./move.ts";
import { usage } from "./usage.ts";

/** What `pgnetd migrate` takes. */
export interface MigrateFlags extends ConfigFlag, MoveFlags {
  readonly webhooks?: boolean;
  readonly grants?: "open" | "restricted";
  readonly callers?: string;
  readonly fromPgNet?: boolean;
  readonly owner?: string;
}

/** `pgnetd migrate`: installs or upgrades the schema, and says from where to where. */
export async function runMigrate(flags: MigrateFlags, context: CommandContext): Promise<void> {
  const { env, print, stop } = context;
  const grants = grantsOf(flags);
  const { fromPgNet = false, dryRun = false, yes = false, owner } = flags;
  if (!fromPgNet && (dryRun || yes || owner !== undefined)) {
    throw usage(`${dryRun ? "--dry-run" : yes ? "--yes" : "--owner"} goes with --from-pg-net`, "migrate");
  }
  const { database } = loadConfig({ env, file: flags.config });
  const environment = { name: database.environment, claim: true };
  const waiting = ({ message, hint }: PgnetdError): void => print(`${message}. ${hint}`);
  const { url } = database;
  const options = { url, webhooks: flags.webhooks === true, grants, environment, signal: stop, waiting };
  if (fromPgNet) {
    if (await move(url, { ...options, owner }, flags, context)) return;
    print("the extension pg_net is not in this database: there is nothing to move over");
    if (dryRun) return;
  }
  const { from, to, notes } = await migrate(url, options);
  if (from === to) print(`the schema is at version ${to} already; nothing to do`);
  else if (from === 0) print(`schema installed: version ${to}`);
  else print(`schema upgraded: version ${from} to ${to}`);
  for (const note of notes) print(note);
}

function grantsOf({ grants, callers }: MigrateFlags): MigrateOptions["grants"] {
  if (grants !== "restricted") {
    if (callers !== undefined) throw usage("--callers goes with --grants restricted", "migrate");
    return grants === undefined ? undefined : { kind: grants };
  }
  if (callers === undefined) {
    throw usage("--grants restricted needs --callers <role>, the role that may call", "migrate");
  }
  return { kind: grants, callers };
}
