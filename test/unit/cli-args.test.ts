import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { type Command, parseCommandLine } from "../../src/cli/args.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { commandHelp, EXIT_CODES, overview } from "../../src/cli/help.ts";

const RUN: Command = {
  name: "run",
  summary: "Run it",
  about: "It runs.",
  flags: { once: { about: "One round" }, config: { value: "file", about: "A file" } },
  run: () => Promise.resolve(),
};
const STATUS: Command = { ...RUN, name: "status", flags: {} };
const COPY: Command = { ...RUN, name: "copy", argument: { name: "dir", about: "Where to" } };
const THREE = [RUN, STATUS, COPY];

it.each([
  [["--help"], { kind: "help", command: undefined }],
  [["-h"], { kind: "help", command: undefined }],
  [["help"], { kind: "help", command: undefined }],
  [["help", "run"], { kind: "help", command: RUN }],
  [["run", "--help"], { kind: "help", command: RUN }],
  [["run", "--once", "-h"], { kind: "help", command: RUN }],
  [["--version"], { kind: "version" }],
  [["run"], { kind: "run", command: RUN, values: new Map(), switches: new Set() }],
  [
    ["run", "--once", "--config", "a.yaml"],
    { kind: "run", command: RUN, values: new Map([["config", "a.yaml"]]), switches: new Set(["once"]) },
  ],
  [
    ["run", "--config=a", "--config", "-b"],
    { kind: "run", command: RUN, values: new Map([["config", "-b"]]), switches: new Set() },
  ],
  [
    ["copy", "here", "--once"],
    { kind: "run", command: COPY, argument: "here", values: new Map(), switches: new Set(["once"]) },
  ],
])("reads %j", (argv, invocation) => {
  expect(parseCommandLine(argv, THREE)).toEqual(invocation);
});

it.each([
  [[], "no command given; there is run, status, copy"],
  [["stauts"], "there is no command stauts; did you mean status?"],
  [["xyzzy"], "there is no command xyzzy; there is run, status, copy"],
  [["help", "xyzzy"], "there is no command xyzzy; there is run, status, copy"],
  [
    ["--once", "run"],
    "--once is not known before the command; there is --help and --version, and flags go after the command",
  ],
  [["run", "--onec"], "run has no --onec; did you mean --once?"],
  [["run", "--fast"], "run has no --fast; there is --once, --config, --help"],
  [["run", "-o"], "run has no -o; there is --once, --config, --help"],
  [["run", "--once=yes"], "--once takes no value"],
  [["run", "--config"], "--config needs a value: --config <file>"],
  [["run", "--config="], "--config needs a value: --config <file>"],
  [["run", "--config", "--once"], "--config needs a value: --config <file>"],
  [["run", "now"], "run takes no argument now"],
  [["run", "--", "now"], "run takes no argument now"],
  [["copy", "here", "there"], "copy takes no argument there"],
  [["run", "--constructor"], "run has no --constructor; there is --once, --config, --help"],
])("refuses %j and says what there is", (argv, message) => {
  expect(() => parseCommandLine(argv, THREE)).toThrow(
    expect.objectContaining({ code: "USAGE", exitCode: 64, message }),
  );
});

it("help names every command, every flag and every exit code", () => {
  const text = overview(COMMANDS);
  for (const command of COMMANDS) {
    expect(text).toMatch(new RegExp(`^  ${command.name} +${command.summary}$`, "m"));
    for (const name of [...Object.keys(command.flags), "help"]) expect(commandHelp(command)).toContain(`  --${name}`);
    expect(commandHelp(command)).toContain(
      `pgnetd ${command.name}${command.argument ? ` [${command.argument.name}]` : ""} [`,
    );
  }
  for (const [code, meaning] of EXIT_CODES) expect(text).toMatch(new RegExp(`^  ${code} +${meaning}$`, "m"));
});

it("documents the exit code of every error", () => {
  const source = readFileSync(new URL("../../src/base/errors.ts", import.meta.url), "utf8");
  const codes = [...source.matchAll(/exitCode: (\d+)/g)].map(([, code]) => Number(code));
  expect(codes).toContain(78);
  expect(codes.filter((code) => !EXIT_CODES.has(code))).toEqual([]);
});
