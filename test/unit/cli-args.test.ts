import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { runProgram } from "../../src/cli/program.ts";

const COMMANDS = [
  "migrate",
  "extension",
  "run",
  "status",
  "doctor",
  "tail",
  "send",
  "drain",
  "replay",
  "adopt",
  "uninstall",
  "receiver",
  "completion",
  "config",
] as const;

/** What `pgnetd ...argv` prints. */
async function printed(...argv: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const env = { DATABASE_URL: "postgres://h/d" };
  await runProgram(argv, { env, print: (line) => lines.push(line), stop: AbortSignal.abort() });
  return lines.join("\n");
}

it.each([
  [[], "no command given; there is migrate, "],
  [["stauts"], "unknown command 'stauts'; did you mean status?"],
  [["xyzzy"], "unknown command 'xyzzy'; there is migrate, "],
  [["help", "xyzzy"], "unknown command 'xyzzy'; there is migrate, "],
  [["xyzzy", "--help"], "unknown command 'xyzzy'; there is migrate, "],
  [["--yes", "run"], "unknown option '--yes'; there is --version, --help, and other options go after the command"],
])("refuses %j and says what commands there are", async (argv, message) => {
  const refusal = { code: "USAGE", exitCode: 64, hint: "See pgnetd --help." };
  await expect(printed(...argv)).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining(message) as unknown,
  });
});

it.each([
  [["drain", "--due-olny"], "unknown option '--due-olny'; did you mean --due-only?"],
  [["run", "--fast"], "unknown option '--fast'; there is --config, --help"],
  [["run", "--fast=1"], "unknown option '--fast'; there is --config, --help"],
  [["run", "-o"], "unknown option '-o'; there is --config, --help"],
  [["run", "--constructor"], "unknown option '--constructor'; there is --config, --help"],
  [["uninstall", "--yes=no"], "option '--yes' takes no value"],
  [["run", "--config"], "option '--config <file>' argument missing"],
  [["run", "--config="], "option '--config <file>' argument missing"],
  [["uninstall", "--config", "--yes"], "option '--config <file>' argument missing"],
  [["run", "now"], "too many arguments for 'run'. Expected 0 arguments but got 1"],
  [["run", "--", "now"], "too many arguments for 'run'. Expected 0 arguments but got 1"],
  [["extension", "here", "there"], "too many arguments for 'extension'. Expected 1 argument but got 2"],
  [
    ["migrate", "--grants", "some"],
    "option '--grants <who>' argument 'some' is invalid. Allowed choices are open, restricted.",
  ],
  [
    ["receiver", "--port", "x"],
    "option '--port <port>' argument 'x' is invalid. It must be a whole number from 0 to 65535.",
  ],
  [["adopt", "--keep", "--moved"], "option '--moved' cannot be used with option '--keep'"],
  [["replay", "--all", "--id", "7"], "option '--all' cannot be used with option '--id <id>'"],
])("refuses %j and points to the help of the command", async (argv, message) => {
  const hint = `See pgnetd ${argv[0]} --help.`;
  await expect(printed(...argv)).rejects.toMatchObject({ code: "USAGE", exitCode: 64, message, hint });
});

it.each([
  ["'; hunter2\n(Did you mean x?)", []],
  ["hunter2'=x' is invalid", ["run"]],
  ["--hunter2=hunter2", ["run"]],
  ["--a'b'='hunter2", ["run"]],
  ["a 'x': hunter2", ["run"]],
  ["' is invalid. hunter2", ["migrate", "--grants"]],
  ["' is' is hunter2", ["receiver", "--port"]],
])("P11: what was typed is not quoted when it may be a secret: %j", async (typed, before) => {
  const failure: unknown = await printed(...before, typed).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "USAGE", message: expect.not.stringContaining("hunter2") as unknown });
});

it("the last of several values of an option counts, given with = or without", async () => {
  const failure = printed("config", "--config=a", "--config", "-b");
  await expect(failure).rejects.toMatchObject({ message: "the configuration file cannot be read: ENOENT" });
  expect(await printed("config", "--config=/", "--config", "/dev/null")).toContain("url: postgres://h/d");
});

it.each([["--help"], ["-h"], ["help"]])("%s names every command and every exit code", async (...argv) => {
  const text = await printed(...argv);
  for (const name of COMMANDS) expect(text).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
  for (const [code, meaning] of EXIT_CODES) expect(text).toMatch(new RegExp(`^  ${code} +${meaning}$`, "m"));
});

it.each(COMMANDS)("the help of %s names its options and every exit code, however it is asked for", async (name) => {
  const text = await printed(name, "--help");
  expect(text).toMatch(new RegExp(`^Usage: pgnetd ${name} \\[options\\]`));
  expect(text).toMatch(/^ {2}-h, --help +Print this help$/m);
  for (const [code, meaning] of EXIT_CODES) expect(text).toMatch(new RegExp(`^  ${code} +${meaning}$`, "m"));
  expect(await printed("help", name)).toBe(text);
  expect(await printed(name, "--nonsense", "-h")).toBe(text);
});

/** What they print is a configuration file, a script, a log of its own, or nothing to go on from. */
const WITHOUT_JSON: ReadonlySet<string> = new Set(["extension", "run", "receiver", "completion", "config"]);

it.each(COMMANDS.filter((name) => !WITHOUT_JSON.has(name)))(
  "%s has --json, and completion knows it in every shell",
  async (name) => {
    expect(await printed(name, "--help")).toMatch(/^ {2}--json +Print /m);
    // Bash and zsh have the options of a command in one block, fish in a line for each.
    expect(await printed("completion", "fish")).toMatch(new RegExp(`${name}\\b.* -l json\\b`));
    for (const shell of ["bash", "zsh"]) {
      const [, options = ""] =
        new RegExp(`^\\s*${name}\\)((?:.|\\n)*?);;`, "m").exec(await printed("completion", shell)) ?? [];
      expect([shell, options]).toEqual([shell, expect.stringContaining("--json")]);
    }
  },
);

it("documents the exit code of every error", () => {
  const source = readFileSync(new URL("../../src/base/errors.ts", import.meta.url), "utf8");
  const codes = [...source.matchAll(/exitCode: (\d+)/g)].map(([, code]) => Number(code));
  expect(codes).toContain(78);
  expect(codes.filter((code) => !EXIT_CODES.has(code))).toEqual([]);
});
