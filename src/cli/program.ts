import { CommanderError } from "commander";
import { VERSION } from "../base/version.ts";
import { addCommands } from "./commands.ts";
import type { CommandContext } from "./context.ts";
import { EXIT_CODES } from "./exit-codes.ts";
import { CliCommand, usage } from "./usage.ts";

/** Runs what the arguments after the program's name ask for. Throws USAGE that says what there is instead. */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<void> {
  const program = createProgram(context);
  try {
    await program.parseAsync(knownOnly(argv, program), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usage(`no command given; there is ${namesOf(program).join(", ")}`);
  }
}

function createProgram(context: CommandContext): CliCommand {
  const program = new CliCommand("pgnetd")
    .description("The pg_net API for any PostgreSQL. Sends the HTTP requests that SQL put into the outbox.")
    .usage("<command> [options]")
    .version(VERSION, "--version", "Print the version")
    .helpOption("-h, --help", "Print this help")
    .helpCommand("help [command]", "Print the help of a command")
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.print(text.trimEnd()), writeErr: () => undefined })
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText(
      "after",
      "\nSettings come from environment variables and a YAML file:\nsee docs/configuration.md and pgnetd config.",
    )
    .addHelpText(
      "afterAll",
      `\nExit codes:\n${[...EXIT_CODES].map(([code, text]) => `  ${code}`.padEnd(6) + text).join("\n")}`,
    );
  addCommands(program, context);
  return program;
}

/** After a command that is not known nothing matters: commander would answer --help there. */
function knownOnly(argv: readonly string[], program: CliCommand): readonly string[] {
  const name = argv[0] === "help" ? argv[1] : argv[0];
  return name === undefined || name.startsWith("-") || namesOf(program).includes(name) ? argv : [name];
}

function namesOf(program: CliCommand): readonly string[] {
  return program.commands.map((command) => command.name());
}
