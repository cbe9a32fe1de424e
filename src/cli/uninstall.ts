import { systemClock } from "../base/clock.ts";
import { loadConfig } from "../config/load.ts";
import { slotsLeftLines } from "../uninstall/slots.ts";
import { type Losses, readCallers, readLosses, uninstall, type Uninstalled } from "../uninstall/uninstall.ts";
import { connect } from "../pg/connection.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { printable } from "./paint.ts";
import { usage } from "./usage.ts";

/** What `pgnetd uninstall` takes. */
export interface UninstallFlags extends ConfigFlag {
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `pgnetd uninstall`: drops slot, publications and schema; without --yes it only says what would go. */
export async function runUninstall(flags: UninstallFlags, { env, print }: CommandContext): Promise<void> {
  const { database, slot } = loadConfig({ env, file: flags.config });
  const client = await connect(database.url, "uninstall");
  try {
    const isJson = flags.json === true;
    const callers = await readCallers(client);
    if (flags.yes !== true) {
      const losses = await readLosses(client);
      const lines = isJson ? [JSON.stringify({ uninstalled: false, losses, callers })] : planLines(losses, callers);
      for (const line of lines) print(line);
      throw usage("nothing was dropped: uninstall needs --yes", "uninstall");
    }
    const force = flags.force === true;
    const done = await uninstall(client, { slotName: slot.name, force, clock: systemClock });
    if (isJson) print(asJson(done, callers));
    else
      for (const line of [...summaryLines(done), ...callerLines(callers), ...slotsLeftLines(done.slotsLeft)])
        print(line);
  } finally {
    await client.end();
  }
}

function asJson(done: Uninstalled, callers: readonly string[]): string {
  const { losses, slot, slotsLeft, publications, dropped, kept, placeholder } = done;
  const schemas = { dropped, kept };
  return JSON.stringify({ uninstalled: true, losses, callers, slot, slotsLeft, publications, schemas, placeholder });
}

function planLines(losses: Losses | null, callers: readonly string[]): readonly string[] {
  if (losses === null) return ["pgnetd is not installed in this database; its replication slot would be dropped"];
  return [
    "would drop the replication slot, the publications, and the tables, functions and types of pgnetd",
    `with ${lost(losses)}`,
    ...callerLines(callers),
  ];
}

function summaryLines({ slot, publications, dropped, kept, placeholder, losses }: Uninstalled): readonly string[] {
  return [
    slot === null ? "there was no replication slot" : `replication slot ${slot} is dropped`,
    ...publications.map((name) => `publication ${name} is dropped`),
    losses === null
      ? "pgnetd was not installed in this database"
      : `the tables, functions and types of pgnetd are dropped, with ${lost(losses)}`,
    ...(placeholder === null ? [] : [placeholderLine(placeholder)]),
    ...dropped.map((schema) => `schema ${schema} is dropped`),
    ...kept.map(({ schema, objects }) => {
      const why = objects.length === 0 ? "another role owns it" : `it has ${objects.join(", ")}`;
      return printable(`schema ${schema} stays: ${why}`);
    }),
  ];
}

function placeholderLine(fate: NonNullable<Uninstalled["placeholder"]>): string {
  const what = "extension pg_net, the placeholder,";
  return fate === "dropped" ? `${what} is dropped` : `${what} stays: ${fate}; without pgnetd it promises too much`;
}

function lost({ requests, deadLetters, answers }: Losses): string {
  return `${requests} requests, ${deadLetters} dead letters and ${answers} answers`;
}

function callerLines(callers: readonly string[]): readonly string[] {
  return callers.length === 0 ? [] : [printable(`these call net.* and fail without it: ${callers.join(", ")}`)];
}
