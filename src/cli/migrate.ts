import { systemClock } from "../base/clock.ts";
import type { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import type { IndexProgress } from "../pg/indexing-progress.ts";
import { migrate, type MigrateOptions } from "../pg/migrate.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { move, type MoveFlags } from "./move.ts";
import { printable } from "./paint.ts";
import { leftText, Progress, TimeLeft } from "./progress.ts";
import { usage } from "./usage.ts";

/** What `pgnetd migrate` takes. */
export interface MigrateFlags extends ConfigFlag, MoveFlags {
  readonly webhooks?: boolean;
  readonly grants?: "open" | "restricted";
  readonly callers?: string;
  readonly fromPgNet?: boolean;
  readonly json?: boolean;
  readonly owner?: string;
}

/** `pgnetd migrate`: installs or upgrades the schema, and says from where to where. */
export async function runMigrate(flags: MigrateFlags, context: CommandContext): Promise<void> {
  const { env, print, stop } = context;
  const grants = grantsOf(flags);
  const { fromPgNet = false, dryRun = false, yes = false, json = false, owner } = flags;
  if (!fromPgNet && (dryRun || yes || owner !== undefined)) {
    throw usage(`${dryRun ? "--dry-run" : yes ? "--yes" : "--owner"} goes with --from-pg-net`, "migrate");
  }
  if (fromPgNet && json) throw usage("--json does not go with --from-pg-net", "migrate");
  const { database } = loadConfig({ env, file: flags.config });
  const environment = { name: database.environment, claim: true };
  const { url } = database;
  // Nothing but the one object is printed with --json.
  const shown = json ? { print: () => undefined } : context;
  using progress = new Progress(shown, systemClock, "");
  const waiting = ({ message, hint }: PgnetdError): void => progress.print(`${message}. ${hint}`);
  const indexing = indexReport(progress);
  const options = { url, indexing, webhooks: flags.webhooks === true, grants, environment, signal: stop, waiting };
  if (fromPgNet) {
    if (await move(url, { ...options, owner }, flags, context)) return;
    print("the extension pg_net is not in this database: there is nothing to move over");
    if (dryRun) return;
  }
  const { from, to, notes } = await migrate(url, options);
  if (json) {
    print(JSON.stringify({ from, to, notes }));
    return;
  }
  if (from === to) progress.print(`the schema is at version ${to} already; nothing to do`);
  else if (from === 0) progress.print(`schema installed: version ${to}`);
  else progress.print(`schema upgraded: version ${from} to ${to}`);
  for (const note of notes) progress.print(printable(note));
}

/** Each phase of each index is estimated by itself. */
function indexReport(progress: Progress): (now: IndexProgress) => void {
  let current = "";
  let timeLeft = new TimeLeft();
  return ({ index, phase, done, total }) => {
    const what = `index ${index}: ${phase}`;
    if (what !== current) timeLeft = new TimeLeft();
    current = what;
    const share = total === 0 ? "" : ` ${Math.floor((100 * done) / total)} %`;
    const left = total === 0 ? null : timeLeft.after(systemClock.now(), total - done);
    progress.report(index, `${what}${share}${leftText(left)}`);
  };
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
