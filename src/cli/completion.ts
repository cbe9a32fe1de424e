import type { Command, Option } from "commander";
import { GROUPS } from "../doctor/check.ts";
import { CHECKS } from "../doctor/checks.ts";
import type { CommandContext } from "./context.ts";

/** The shells that completion is written for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of `SHELLS`. */
export type Shell = (typeof SHELLS)[number];

/** What follows an option: nothing, one of some words, a file, or anything. */
type Value = { readonly kind: "none" | "file" | "any" } | { readonly kind: "words"; readonly words: readonly string[] };

interface Flag {
  readonly long: string;
  /** Null without one. */
  readonly short: string | null;
  readonly about: string;
  readonly value: Value;
}

interface Subcommand {
  readonly name: string;
  readonly about: string;
  readonly flags: readonly Flag[];
  /** What its first argument may be. */
  readonly argument: Value;
}

/** `pgnetd completion <shell>`: prints the shell's completion of this very program. */
export function completion(shell: Shell, program: Command, { print }: Pick<CommandContext, "print">): void {
  print(scriptFor(shell, subcommandsOf(program)));
}

function scriptFor(shell: Shell, commands: readonly Subcommand[]): string {
  switch (shell) {
    case "bash":
      return bash(commands);
    case "zsh":
      return zsh(commands);
    case "fish":
      return fish(commands);
  }
}

function subcommandsOf(program: Command): readonly Subcommand[] {
  const names = program.commands.map((one) => one.name());
  const commands = program.commands.map((command): Subcommand => {
    const [argument] = command.registeredArguments;
    const words = argument?.argChoices ?? [];
    return {
      name: command.name(),
      about: command.summary(),
      flags: command
        .createHelp()
        .visibleOptions(command)
        .map((option) => flagOf(command.name(), option)),
      argument: words.length > 0 ? { kind: "words", words } : { kind: argument?.name() === "dir" ? "file" : "none" },
    };
  });
  const help = { name: "help", about: "Print the help of a command", flags: [] };
  return [...commands, { ...help, argument: { kind: "words", words: names } }];
}

function flagOf(command: string, option: Option): Flag {
  const { long, short, description, argChoices, required } = option;
  return {
    long: long ?? "",
    short: short ?? null,
    about: description,
    value: valueOf({ command, long: long ?? "", choices: argChoices ?? [], takesValue: required }),
  };
}

interface OptionFacts {
  readonly command: string;
  readonly long: string;
  readonly choices: readonly string[];
  readonly takesValue: boolean;
}

function valueOf({ command, long, choices, takesValue }: OptionFacts): Value {
  if (choices.length > 0) return { kind: "words", words: choices };
  if (long === "--config") return { kind: "file" };
  if (command === "doctor" && ["--only", "--skip"].includes(long)) {
    return { kind: "words", words: [...GROUPS, ...CHECKS.map(({ id }) => id)] };
  }
  return { kind: takesValue ? "any" : "none" };
}

function spellings({ long, short }: Flag): readonly string[] {
  return short === null ? [long] : [short, long];
}

function bash(commands: readonly Subcommand[]): string {
  const values = commands.flatMap(({ name, flags }) =>
    flags
      .filter(({ value }) => value.kind !== "none")
      .map((flag) => {
        const pattern = spellings(flag).map((spelling) => `"${name} ${spelling}"`);
        return `    ${pattern.join(" | ")}) ${bashValue(flag.value)}; return ;;`;
      }),
  );
  const words = commands.map(({ name, flags, argument }) => {
    const all = [...(argument.kind === "words" ? argument.words : []), ...flags.map(({ long }) => long)];
    const files = argument.kind === "file" ? ` ${bashValue(argument)};` : "";
    return `    ${name})${files} words="${all.join(" ")}" ;;`;
  });
  return `# Completion of pgnetd for bash: source <(pgnetd completion bash)
_pgnetd() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]} \${COMP_WORDS[COMP_CWORD-1]}" in
${values.join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${words.join("\n")}
    *) return ;;
  esac
  COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}
complete -F _pgnetd pgnetd`;
}

function bashValue(value: Value): string {
  if (value.kind === "words") return `COMPREPLY=($(compgen -W "${value.words.join(" ")}" -- "$cur"))`;
  if (value.kind === "file") return 'compopt -o filenames 2> /dev/null; COMPREPLY=($(compgen -f -- "$cur"))';
  return "true";
}

function zsh(commands: readonly Subcommand[]): string {
  const cases = commands.map(({ name, flags, argument }) => {
    const specs = flags.flatMap((flag) =>
      spellings(flag).map((spelling) => zshQuoted(`${spelling}[${zshText(flag.about)}]${zshValue(flag.value)}`)),
    );
    const first = argument.kind === "none" ? [] : [zshQuoted(`1${zshValue(argument)}`)];
    return `    ${name}) _arguments ${[...specs, ...first].join(" ")} ;;`;
  });
  return `#compdef pgnetd
# Completion of pgnetd for zsh: pgnetd completion zsh > "\${fpath[1]}/_pgnetd"
_pgnetd() {
  local -a commands
  commands=(${commands.map(({ name, about }) => zshQuoted(`${name}:${zshText(about)}`)).join(" ")})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$name" in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _pgnetd ]; then _pgnetd "$@"; else compdef _pgnetd pgnetd; fi`;
}

function zshValue(value: Value): string {
  switch (value.kind) {
    case "none":
      return "";
    case "any":
      return ":value:";
    case "file":
      return ":file:_files";
    case "words":
      return `:value:(${value.words.join(" ")})`;
  }
}

function zshText(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fish(commands: readonly Subcommand[]): string {
  const lines = commands.flatMap(({ name, about, flags, argument }) => {
    const within = `complete -c pgnetd -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c pgnetd -n __fish_use_subcommand -a ${name} -d ${fishQuoted(about)}`,
      ...(argument.kind === "none" ? [] : [`${within}${fishValue(argument, "-f")}`]),
      ...flags.map((flag) => {
        const short = flag.short === null ? "" : ` -s ${flag.short.slice(1)}`;
        return `${within}${short} -l ${flag.long.slice(2)}${fishValue(flag.value, "-x")} -d ${fishQuoted(flag.about)}`;
      }),
    ];
  });
  return `# Completion of pgnetd for fish: pgnetd completion fish > ~/.config/fish/completions/pgnetd.fish
complete -c pgnetd -f
${lines.join("\n")}`;
}

/** `exclusive` is what keeps files out where words are given. */
function fishValue(value: Value, exclusive: "-x" | "-f"): string {
  switch (value.kind) {
    case "none":
      return "";
    case "any":
      return " -x";
    case "file":
      return exclusive === "-x" ? " -r -F" : " -F";
    case "words":
      return ` ${exclusive} -a '${value.words.join(" ")}'`;
  }
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
