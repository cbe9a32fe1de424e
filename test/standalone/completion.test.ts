import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify, stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SHELLS } from "../../src/cli/completion.ts";
import { runProgram } from "../../src/cli/program.ts";
import { eventually } from "../support/eventually.ts";

/** Of util-linux: gives a program a terminal. */
const SCRIPT: string = "script";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgnetd-completion-"));
  for (const shell of SHELLS) {
    const lines: string[] = [];
    const context = { env: {}, print: (line: string) => void lines.push(line), stop: new AbortController().signal };
    await runProgram(["completion", shell], context);
    await writeFile(join(folder, shell), lines.join("\n"));
  }
});

// A shell whose terminal is gone still writes its history, which may come between.
afterAll(() => rm(folder, { recursive: true, maxRetries: 10 }));

/** Null where there is such a program; else what a test that needs it says in its name. */
function missing(...programs: readonly string[]): string | null {
  const absent = programs.find((program) => spawnSync("which", [program]).status !== 0);
  return absent === undefined ? null : `NOT RUN, since ${absent} is not installed: `;
}

/** Types `keys` at the prompt of an interactive shell, as a person does, and returns what its pgnetd was called with. */
async function typed(command: string, setup: string, keys: string): Promise<string> {
  // The terminal that util-linux's script gives is one to the shell.
  const child = spawn(SCRIPT, ["-qec", command, "/dev/null"], {
    cwd: folder,
    env: { PATH: process.env["PATH"], TERM: "dumb", HOME: folder },
    stdio: ["pipe", "pipe", "ignore"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += stripVTControlCharacters(chunk.toString())));
  const until = async (pattern: RegExp): Promise<string> =>
    eventually(() => pattern.exec(output)?.[1] ?? false, 20_000);
  try {
    child.stdin.write(`pgnetd() { printf 'RAN<%s>\\n' "$*"; }; ${setup}; echo "READY"":"\n`);
    await until(/(READY:)/);
    child.stdin.write(`${keys}\n`);
    return await until(/RAN<([^%>]*)>/);
  } finally {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

const noBash = missing("bash", "script");
const noZsh = missing("zsh", "script");
const noFish = missing("fish");

/** What is typed, and what it becomes. */
const CASES = [
  ["pgnetd migr\t--gr\top\t", "migrate --grants open"],
  ["pgnetd doc\t--on\twal-l\t--js\t", "doctor --only wal-level --json"],
  ["pgnetd uninst\t--js\t", "uninstall --json"],
  ["pgnetd comp\tfi\t", "completion fish"],
  ["pgnetd help unin\t", "help uninstall"],
  ["pgnetd status --config fi\t", "status --config fish"],
] as const;

test.skipIf(noBash !== null).each(CASES)(`${noBash ?? ""}bash completes %j`, async (keys, line) => {
  expect((await typed("bash --norc -i", "source ./bash", keys)).trim()).toBe(line);
});

test.skipIf(noZsh !== null).each(CASES)(`${noZsh ?? ""}zsh completes %j`, async (keys, line) => {
  expect((await typed("zsh -f -i", "autoload -Uz compinit; compinit -u; source ./zsh", keys)).trim()).toBe(line);
});

test.skipIf(noFish !== null).each([
  ["pgnetd migr", ["migrate"]],
  ["pgnetd migrate --grants ", ["open", "restricted"]],
  ["pgnetd doctor --only wal", ["wal-level", "walsenders-free"]],
  ["pgnetd completion ", ["bash", "fish", "zsh"]],
  ["pgnetd status --config fi", ["fish"]],
] as const)(`${noFish ?? ""}fish completes %j`, async (line, words) => {
  const { stdout } = await promisify(execFile)("fish", ["-N", "-c", 'source ./fish; complete -C "$argv[1]"', line], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder },
  });
  const completions = stdout
    .trim()
    .split("\n")
    .map((one) => one.split("\t")[0]);
  expect(new Set(completions)).toEqual(new Set(words));
});
