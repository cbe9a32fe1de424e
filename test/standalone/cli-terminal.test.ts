import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { shell } from "../support/shell.ts";

/** Of util-linux: gives a program a terminal. */
const SCRIPT: string = "script";
const DATABASE_URL = "postgres://nobody@127.0.0.1:1/none";
const COLOUR = "\u001B[";
const COMMAND = "pgnetd doctor --only memory,tls-store";
const hasScript = spawnSync(SCRIPT, ["--version"]).status === 0;
const title = hasScript ? "" : "NOT RUN, since util-linux's script is not installed: ";

/** What the command prints on a terminal. */
async function onTerminal(before = ""): Promise<string> {
  return shell(`${before} script -qec '${COMMAND}' /dev/null < /dev/null`, DATABASE_URL);
}

test.skipIf(!hasScript)(`${title}there is colour on a terminal, and none where NO_COLOR is set`, async () => {
  expect(await onTerminal("TERM=xterm")).toContain(COLOUR);
  expect(await onTerminal("TERM=xterm NO_COLOR=1")).not.toContain(COLOUR);
});

test("there is no colour where standard output is no terminal", async () => {
  const printed = await shell(COMMAND, DATABASE_URL);
  expect(printed).toMatch(/^ok +host +memory +there are/m);
  expect(printed).not.toContain(COLOUR);
});
