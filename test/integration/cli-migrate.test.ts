import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { testDatabase } from "../support/postgres.ts";

async function pgnetd(url: string, ...argv: string[]): Promise<readonly string[]> {
  return inEnvironment(null, url, ...argv);
}

async function inEnvironment(name: string | null, url: string, ...argv: string[]): Promise<readonly string[]> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  await runProgram(argv, {
    env: { DATABASE_URL: url, PGNETD_ENVIRONMENT: name ?? "" },
    print,
    stop: new AbortController().signal,
  });
  return lines;
}

test("migrate installs, then finds nothing to do", async () => {
  await using db = await testDatabase({ migrated: false });
  expect(await pgnetd(db.url, "migrate")).toEqual([expect.stringMatching(/^schema installed: version \d+$/)]);
  expect(await pgnetd(db.url, "migrate")).toEqual([expect.stringMatching(/nothing to do$/)]);
});

test("migrate records the environment once, also of an installation that has none, and says so", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  const migrated = async (): Promise<readonly string[]> => inEnvironment("production", db.url, "migrate");
  expect(await migrated()).toEqual([
    expect.stringMatching(/nothing to do$/),
    "this database is recorded for the environment production",
  ]);
  expect(await migrated()).toEqual([expect.stringMatching(/nothing to do$/)]);
  expect(await pgnetd(db.url, "migrate")).toEqual([expect.stringMatching(/nothing to do$/)]);
  await expect(inEnvironment("staging", db.url, "migrate")).rejects.toMatchObject({ code: "WRONG_ENVIRONMENT" });
});

test("migrate --webhooks installs the trigger function, and a later migrate keeps it", async () => {
  await using db = await testDatabase();
  await pgnetd(db.url, "migrate", "--webhooks");
  await pgnetd(db.url, "migrate");
  expect(await db.query("select to_regprocedure('supabase_functions.http_request()') is not null as there")).toEqual([
    { there: true },
  ]);
});

test("migrate --grants restricted leaves calling to one role", async () => {
  await using db = await testDatabase();
  const role = `caller_${db.name}`;
  await db.query(`create role ${role}`);
  try {
    await pgnetd(db.url, "migrate", "--grants", "restricted", "--callers", role);
    const may = (who: string): Promise<unknown> =>
      db.query("select has_function_privilege($1, 'net.http_get(text, jsonb, jsonb, integer)', 'execute') as may", [
        who,
      ]);
    expect(await may(role)).toEqual([{ may: true }]);
    expect(await may("public")).toEqual([{ may: false }]);
  } finally {
    await db.query(`drop owned by ${role}`);
    await db.query(`drop role ${role}`);
  }
});

test.for([
  [["--grants", "restricted"], "--grants restricted needs --callers <role>, the role that may call"],
  [["--grants", "some"], "option '--grants <who>' argument 'some' is invalid. Allowed choices are open, restricted."],
  [["--callers", "app"], "--callers goes with --grants restricted"],
] as const)("migrate %j is refused", async ([argv, message]) => {
  await expect(pgnetd("postgres://nowhere/x", "migrate", ...argv)).rejects.toMatchObject({ code: "USAGE", message });
});

test("migrate --json prints one object with the versions", async () => {
  await using db = await testDatabase({ migrated: false });
  const lines: string[] = [];
  const context = { env: { DATABASE_URL: db.url }, print: (line: string) => void lines.push(line) };
  await runProgram(["migrate", "--json"], { ...context, stop: new AbortController().signal });
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ from: 0, to: LATEST_VERSION, notes: [] }]);
});
