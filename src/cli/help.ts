import type { Command, Flag } from "./args.ts";

/** What each exit code means; those above 63 are of sysexits.h. */
export const EXIT_CODES: ReadonlyMap<number, string> = new Map([
  [0, "done, or stopped as asked by SIGTERM or Ctrl-C"],
  [64, "wrong command or flag"],
  [65, "the schema is missing, or newer than this pgnetd"],
  [69, "the database or its stream cannot be reached"],
  [70, "a migration failed, or a defect in pgnetd"],
  [75, "not done: ended too early, or something is in the way"],
  [77, "the database refused the login, or a right is missing"],
  [78, "wrong configuration"],
]);

const HELP_FLAG: Flag = { about: "Print this help" };

/** Help on the whole program. */
export function overview(commands: readonly Command[]): string {
  return [
    "pgnetd: the pg_net API for any PostgreSQL. Sends the HTTP requests that SQL put into the outbox.",
    "Usage: pgnetd <command> [flags]",
    section(
      "Commands",
      commands.map(({ name, summary }) => [name, summary]),
    ),
    section("Flags", [
      ["--help", "Print this help; after a command, that of the command"],
      ["--version", "Print the version"],
    ]),
    section(
      "Exit codes",
      [...EXIT_CODES].map(([code, meaning]) => [String(code), meaning]),
    ),
    "Settings come from environment variables and a YAML file: see docs/configuration.md and pgnetd config.",
  ].join("\n\n");
}

/** Help on one command. */
export function commandHelp({ name, summary, about, argument, flags }: Command): string {
  const entries = Object.entries({ ...flags, help: HELP_FLAG });
  const usage = `Usage: pgnetd ${name}${argument === undefined ? "" : ` [${argument.name}]`} [flags]`;
  return [
    `pgnetd ${name}: ${summary}`,
    usage,
    about,
    ...(argument === undefined ? [] : [section("Argument", [[argument.name, argument.about]])]),
    section(
      "Flags",
      entries.map(([flag, { value, about: text }]) => [
        value === undefined ? `--${flag}` : `--${flag} <${value}>`,
        text,
      ]),
    ),
    section(
      "Exit codes",
      [...EXIT_CODES].map(([code, meaning]) => [String(code), meaning]),
    ),
  ].join("\n\n");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return [`${title}:`, ...rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`)].join("\n");
}
