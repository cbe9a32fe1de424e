import { Command, type ErrorOptions, Option } from "commander";
import { PgnetdError } from "../base/errors.ts";
import { quotable } from "../config/redact.ts";

/** The error of a command line that cannot be run; the help of `command`, or of all, says what can. */
export function usage(message: string, command?: string): PgnetdError {
  const hint = command === undefined ? undefined : `See pgnetd ${command} --help.`;
  return new PgnetdError("USAGE", message, { hint });
}

/** A command of commander's whose errors are those of pgnetd: USAGE, and without secrets (P11). */
export class CliCommand extends Command {
  override createCommand(name?: string): CliCommand {
    return new CliCommand(name);
  }

  /** Every error of commander's comes through here. */
  override error(message: string, { code = "" }: ErrorOptions = {}): never {
    const [what = "", meant] = message.replace(/^error: /, "").split(/\n\(Did you mean (.*)\?\)$/);
    const given = /^unknown option '(--[^=]+)=/.exec(what)?.[1];
    if (this.options.some(({ long }) => long === given)) return this.#refuse(`option '${given}' takes no value`);
    const suggestion = meant === undefined ? this.#choice(code) : `; did you mean ${meant}?`;
    return this.#refuse(this.#masked(what, code) + suggestion);
  }

  #refuse(message: string): never {
    throw usage(message, this.parent === null ? undefined : this.name());
  }

  /** One line for the list of commands, and what else its own help says. */
  about(summary: string, more: string): this {
    return this.summary(summary).description(`${summary}.\n\n${more}`);
  }

  /** Adds an option that takes a value. Another option in its place, or nothing, means that the value was forgotten. */
  valued(flags: string, description: string): this {
    const read = (value: string): string => {
      if (value !== "" && !value.startsWith("--")) return value;
      return this.error(`option '${flags}' argument missing`, { code: "commander.optionMissingArgument" });
    };
    return this.addOption(new Option(flags, description).argParser(read));
  }

  /** What there is, where nothing is close to what was typed. */
  #choice(code: string): string {
    if (code === "commander.unknownCommand") return `; there is ${this.commands.map((one) => one.name()).join(", ")}`;
    if (code !== "commander.unknownOption") return "";
    const options = this.createHelp().visibleOptions(this);
    const where = this.parent === null ? ", and other options go after the command" : "";
    return `; there is ${options.map(({ long }) => long).join(", ")}${where}`;
  }

  /** The message with what was typed masked, unless it is too plain to be a secret. What stands in quotes may hold quotes. */
  #masked(message: string, code: string): string {
    switch (code) {
      case "commander.unknownCommand":
        return message.replace(/'(.*)'/s, (_, typed: string) => `'${quotable(typed)}'`);
      case "commander.unknownOption":
        return message.replace(/'(-*)([^=]*).*'/s, (_, dashes: string, name: string) => `'${dashes}${quotable(name)}'`);
      case "commander.invalidArgument":
        return message.replace(/argument '(.*)' is/s, (_, typed: string) => `argument '${quotable(typed)}' is`);
      case "commander.excessArguments":
        return message.replace(/: .*$/s, "");
      case "commander.optionMissingArgument":
      case "commander.conflictingOption":
        return message;
      default:
        return "the arguments are wrong";
    }
  }
}
