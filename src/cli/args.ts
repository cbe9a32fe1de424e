import { parseArgs } from "node:util";
import { PgnetdError } from "../base/errors.ts";
import type { Environment } from "../config/load.ts";
import { didYouMean } from "../config/nearest.ts";
import { quotable } from "../config/redact.ts";

/** One flag of a command: a switch, or with the name of its value one that takes a value. */
export interface Flag {
  /** What the value is, as shown in help: `file`. Absent for a switch. */
  readonly value?: string;
  readonly about: string;
}

/** What may come after a command beside flags. */
export interface Argument {
  /** As shown in help: `dir`. */
  readonly name: string;
  readonly about: string;
}

/** What a command is given. */
export interface CommandContext {
  /** The argument, where the command takes one and it was given. */
  readonly argument?: string | undefined;
  /** Value of each flag given that takes one, by name without dashes; the last one counts. */
  readonly values: ReadonlyMap<string, string>;
  /** Switches given, by name without dashes. */
  readonly switches: ReadonlySet<string>;
  readonly env: Environment;
  /** Writes one line to standard output. */
  readonly print: (line: string) => void;
  /** Asks a person a question that is answered with yes or no; absent where there is nobody to ask. */
  readonly ask?: ((question: string) => Promise<boolean>) | null | undefined;
  /** Fires when the process is asked to end. */
  readonly stop: AbortSignal;
}

/** One command: what help says of it, and how it is run. Loaded only when run, so that help needs nothing. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Further lines for its own help. */
  readonly about: string;
  readonly argument?: Argument;
  /** By name without dashes. `help` is there always. */
  readonly flags: Readonly<Record<string, Flag>>;
  readonly run: (context: CommandContext) => Promise<void>;
}

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: "help"; readonly command: Command | undefined }
  | { readonly kind: "version" }
  | ({ readonly kind: "run"; readonly command: Command } & Pick<CommandContext, "argument" | "values" | "switches">);

/** Reads the arguments after the program's name. Throws USAGE that says what there is instead. */
export function parseCommandLine(argv: readonly string[], commands: readonly Command[]): Invocation {
  const [first, ...rest] = argv;
  const names = commands.map(({ name }) => name);
  if (first === undefined) throw usage(`no command given; there is ${names.join(", ")}`);
  if (first === "--version") return { kind: "version" };
  if (first === "--help" || first === "-h") return { kind: "help", command: undefined };
  if (first === "help") return { kind: "help", command: rest[0] === undefined ? undefined : find(rest[0], commands) };
  if (first.startsWith("-")) {
    throw usage(
      `${flagName(first)} is not known before the command; there is --help and --version, and flags go after the command`,
    );
  }
  return parseFlags(find(first, commands), rest);
}

function find(name: string, commands: readonly Command[]): Command {
  const command = commands.find((one) => one.name === name);
  if (command !== undefined) return command;
  const names = commands.map((one) => one.name);
  throw usage(`there is no command ${quotable(name)}${didYouMean(name, names) || `; there is ${names.join(", ")}`}`);
}

function parseFlags(command: Command, argv: readonly string[]): Invocation {
  const values = new Map<string, string>();
  const switches = new Set<string>();
  let argument: string | undefined;
  const options = Object.fromEntries(
    Object.entries(command.flags).map(
      ([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }] as const,
    ),
  );
  // Not strict: what is wrong is said below, in the same words as everywhere.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true });
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (command.argument === undefined || argument !== undefined) {
        throw usage(`${command.name} takes no argument ${quotable(token.value)}`, command);
      }
      argument = token.value;
      continue;
    }
    if (token.kind === "option-terminator") continue;
    if (token.rawName === "--help" || token.rawName === "-h") return { kind: "help", command };
    const flag =
      Object.hasOwn(command.flags, token.name) && token.rawName.startsWith("--")
        ? command.flags[token.name]
        : undefined;
    if (flag === undefined) {
      const known = [...Object.keys(command.flags), "help"].map((name) => `--${name}`);
      const meant = didYouMean(token.rawName, known) || `; there is ${known.join(", ")}`;
      throw usage(`${command.name} has no ${flagName(token.rawName)}${meant}`, command);
    }
    if (flag.value === undefined) {
      if (token.value !== undefined) throw usage(`${token.rawName} takes no value`, command);
      switches.add(token.name);
    } else {
      const missing =
        token.value === undefined || token.value === "" || (!token.inlineValue && token.value.startsWith("--"));
      if (missing) throw usage(`${token.rawName} needs a value: ${token.rawName} <${flag.value}>`, command);
      values.set(token.name, token.value);
    }
  }
  return { kind: "run", command, argument, values, switches };
}

/** A flag as it was given, without what follows `=`. */
function flagName(given: string): string {
  const [dashes = "", name = ""] = /^(-+)([^=]*)/.exec(given)?.slice(1) ?? [];
  return dashes + quotable(name);
}

function usage(message: string, command?: Command): PgnetdError {
  const hint = command === undefined ? undefined : `See pgnetd ${command.name} --help.`;
  return new PgnetdError("USAGE", message, { hint });
}
