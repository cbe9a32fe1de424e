import { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { quotable } from "../config/redact.ts";
import { migrate, type MigrateOptions } from "../pg/migrate.ts";
import type { CommandContext } from "./args.ts";
import { move } from "./move.ts";

/** `pgnetd migrate`: installs or upgrades the schema, and says from where to where. */
export async function runMigrate(context: CommandContext): Promise<void> {
  const { env, values, switches, print, stop } = context;
  const grants = grantsOf(values);
  const moves = switches.has("from-pg-net");
  for (const flag of ["dry-run", "yes", "owner"]) {
    if (!moves && (switches.has(flag) || values.has(flag))) throw usage(`--${flag} goes with --from-pg-net`);
  }
  const { database } = loadConfig({ env, file: values.get("config") });
  const environment = { name: database.environment, claim: true };
  const waiting = ({ message, hint }: PgnetdError): void => print(`${message}. ${hint}`);
  const { url } = database;
  const options = { url, webhooks: switches.has("webhooks"), grants, environment, signal: stop, waiting };
  if (moves) {
    if (await move(url, { ...options, owner: values.get("owner") }, context)) return;
    print("the extension pg_net is not in this database: there is nothing to move over");
    if (switches.has("dry-run")) return;
  }
  const { from, to, notes } = await migrate(url, options);
  if (from === to) print(`the schema is at version ${to} already; nothing to do`);
  else if (from === 0) print(`schema installed: version ${to}`);
  else print(`schema upgraded: version ${from} to ${to}`);
  for (const note of notes) print(note);
}

function grantsOf(values: CommandContext["values"]): MigrateOptions["grants"] {
  const callers = values.get("callers");
  const kind = values.get("grants");
  if (callers !== undefined && kind !== "restricted") throw usage("--callers goes with --grants restricted");
  switch (kind) {
    case undefined:
      return undefined;
    case "open":
      return { kind };
    case "restricted":
      if (callers === undefined) throw usage("--grants restricted needs --callers <role>, the role that may call");
      return { kind, callers };
    default:
      throw usage(`--grants is ${quotable(kind)}: must be open or restricted`);
  }
}

function usage(message: string): PgnetdError {
  return new PgnetdError("USAGE", message, { hint: "See pgnetd migrate --help." });
}
