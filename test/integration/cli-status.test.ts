import { expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { startPipeline } from "../support/pipeline.ts";
import { testDatabase } from "../support/postgres.ts";

/** Runs `pgnetd status` against `url`; what it printed, and how it ended. */
async function status(url: string): Promise<{ readonly lines: string[]; readonly failure: unknown }> {
  const lines: string[] = [];
  const command = COMMANDS.find(({ name }) => name === "status");
  if (command === undefined) throw new Error("there is no such command");
  const failure = await command
    .run({
      env: { DATABASE_URL: url },
      values: new Map(),
      switches: new Set(),
      print: (line) => lines.push(line),
      stop: new AbortController().signal,
    })
    .then(
      () => null,
      (error: unknown) => error,
    );
  return { lines, failure };
}

test("status tells who leads, the slot's health and the queue; it fails while nobody leads", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  const before = await status(db.url);
  expect(before.failure).toMatchObject({ message: "no pgnetd leads this database, so that requests wait" });
  expect(before.lines.join("\n")).toMatch(/waiting +1 \(0 for a later time\)/);
  expect(before.lines.join("\n")).toMatch(/slot +\S+: missing/);

  await using _daemon = await startPipeline(db.url);
  const after = await status(db.url);
  expect(after.failure).toBeNull();
  expect(after.lines.join("\n")).toMatch(/leader +process \d+/);
  expect(after.lines.join("\n")).toMatch(/slot +\S+: ok/);
});
