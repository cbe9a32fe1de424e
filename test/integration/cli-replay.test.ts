import { expect, test } from "vitest";
import type { CommandContext } from "../../src/cli/context.ts";
import type { LiveView } from "../../src/cli/live-view.ts";
import { runProgram } from "../../src/cli/program.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

interface Replaying {
  readonly url: string;
  readonly live?: CommandContext["live"];
}

async function replay(url: string, ...flags: string[]): Promise<{ lines: string[]; failure: unknown }> {
  return replayShown({ url }, ...flags);
}

async function replayShown(
  { url, live }: Replaying,
  ...flags: string[]
): Promise<{ lines: string[]; failure: unknown }> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  const context = { env: { DATABASE_URL: url }, print, live, stop: new AbortController().signal };
  const failure = await runProgram(["replay", ...flags], context).then(
    () => null,
    (error: unknown) => error,
  );
  return { lines, failure };
}

async function deadLetters(db: TestDatabase, ...ids: number[]): Promise<void> {
  await db.query(
    `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, deduplication_key)
     select id, 'GET', 'https://example.com', 5000, now(), 3, 'key ' || id from unnest($1::bigint[]) as id`,
    [ids],
  );
}

/** The ids in the outbox and in the dead letters. */
async function where(db: TestDatabase): Promise<unknown> {
  const [row] = await db.query(`select array(select id::int from net.http_request_queue order by id) as waiting,
    array(select id::int from net.http_dead_letter order by id) as dead`);
  return row;
}

test("replay puts one dead letter, or all, back into the outbox", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12, 13);
  expect(await replay(db.url, "--id", "12")).toEqual({
    lines: ["1 dead letters are in the outbox again"],
    failure: null,
  });
  expect(await where(db)).toEqual({ waiting: [12], dead: [11, 13] });
  expect(await replay(db.url, "--all")).toEqual({ lines: ["2 dead letters are in the outbox again"], failure: null });
  expect(await where(db)).toEqual({ waiting: [11, 12, 13], dead: [] });
});

test("replay --json says how many were replayed, which wait, and how many are gone or left", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12);
  await db.query("select net.http_request('GET', 'https://example.com', deduplication_key := 'key 11')");
  const { lines } = await replay(db.url, "--all", "--json");
  expect(JSON.parse(lines.join(""))).toEqual({ replayed: 1, waiting: ["11"], gone: 0, left: 0 });
});

/** What happens to the dead letters 12 and 13 in the moment in which 11 is replayed. */
async function whenFirstIsReplayed(db: TestDatabase, act: string): Promise<void> {
  await db.query(`create function meanwhile() returns trigger language plpgsql as $$ begin ${act}; return null; end $$;
    create trigger meanwhile after insert on net.http_request_queue for each row when (new.id = 11) execute function meanwhile()`);
}

test.for([[[]], [["--json"]]] as const)(
  "replay --all %j skips dead letters that somebody else takes meanwhile, and counts them",
  async ([flags]) => {
    await using db = await testDatabase();
    await deadLetters(db, 11, 12, 13);
    await whenFirstIsReplayed(db, "delete from net.http_dead_letter where id = 12");
    const { lines, failure } = await replay(db.url, "--all", ...flags);
    expect(failure).toBeNull();
    expect(lines).toEqual(
      flags.length === 0
        ? ["2 dead letters are in the outbox again; 1 were gone by the time they were come to"]
        : ['{"replayed":2,"waiting":[],"gone":1,"left":0}'],
    );
    expect(await where(db)).toEqual({ waiting: [11, 13], dead: [] });
  },
);

test("replay --json that fails in the middle says what was done before", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12, 13);
  await whenFirstIsReplayed(db, "alter function net.http_replay(bigint) rename to elsewhere");
  const { lines, failure } = await replay(db.url, "--all", "--json");
  expect(failure).toMatchObject({ code: "42883" });
  expect(lines).toEqual(['{"replayed":1,"waiting":[],"gone":0,"left":2}']);
});

test("replay shows progress, and none with --json", async () => {
  await using db = await testDatabase();
  const shown: string[] = [];
  const live = (): LiveView => ({
    show: (lines) => void shown.push(...lines),
    clear: () => undefined,
    [Symbol.dispose]: () => undefined,
  });
  await deadLetters(db, 11);
  expect((await replayShown({ url: db.url, live }, "--all", "--json")).failure).toBeNull();
  expect(shown).toEqual([]);
  await deadLetters(db, 12);
  expect((await replayShown({ url: db.url, live }, "--all")).failure).toBeNull();
  expect(shown).toEqual(["1 of 1 dead letters"]);
});

test("a dead letter whose id or key waits stays, and is named", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12);
  await db.query("select net.http_request('GET', 'https://example.com', deduplication_key := 'key 11')");
  const { lines, failure } = await replay(db.url, "--all");
  expect(lines).toEqual(["1 dead letters are in the outbox again"]);
  expect(failure).toMatchObject({
    code: "NOT_DONE",
    message: "left, as the same id or deduplication key waits already: 11",
  });
  expect(await where(db)).toEqual({ waiting: [1, 12], dead: [11] });
});

/** Two more dead letters with the id 11 that died earlier, of the installation with this mark. */
async function twoMore(db: TestDatabase, mark: string): Promise<void> {
  await db.query(
    `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, died, installation_mark)
     select 11, 'GET', 'https://earlier.example', 5000, now(), 3, now() - interval '1 hour', ${mark} from generate_series(1, 2)`,
  );
}

const OWN_MARK = "(select installation_mark from net.http_dead_letter limit 1)";

test("of dead letters with the same id the latest is replayed by --all, and the others are named once", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12);
  await twoMore(db, OWN_MARK);
  const { lines, failure } = await replay(db.url, "--all");
  expect(lines).toEqual(["2 dead letters are in the outbox again"]);
  expect(failure).toMatchObject({
    code: "NOT_DONE",
    message: "left, as the same id or deduplication key waits already: 11",
  });
  expect(await where(db)).toEqual({ waiting: [11, 12], dead: [11, 11] });
  expect(await db.query("select distinct url from net.http_dead_letter")).toEqual([{ url: "https://earlier.example" }]);
});

test("P2: dead letters that a dump added with ids of this installation are replayed by --all, too", async () => {
  await using db = await testDatabase();
  await deadLetters(db, 11, 12);
  await twoMore(db, `${OWN_MARK} # 1`);
  await db.query("select setval('net.http_request_queue_id_seq', 12)");
  const { lines } = await replay(db.url, "--all", "--json");
  expect(JSON.parse(lines.join(""))).toEqual({ replayed: 4, waiting: [], gone: 0, left: 0 });
  expect(await where(db)).toEqual({ waiting: [11, 12, 13, 14], dead: [] });
});

test("an id that is no dead letter is reported", async () => {
  await using db = await testDatabase();
  for (const id of ["7", "-9223372036854775808"]) {
    const message = `there is no dead letter with id ${id}`;
    expect(await replay(db.url, `--id=${id}`)).toMatchObject({ lines: [], failure: { message } });
    const lines = ['{"replayed":0,"waiting":[],"gone":1,"left":0}'];
    expect(await replay(db.url, `--id=${id}`, "--json")).toMatchObject({ lines, failure: { message } });
  }
});

test.for([[[]], [["--all", "--id", "7"]], [["--id", "seven"]]] as const)("replay %j is refused", async ([flags]) => {
  expect((await replay("postgres://nowhere/x", ...flags)).failure).toMatchObject({ code: "USAGE" });
});

test("P6: a request that died and is sent again stays in its lane", async () => {
  await using db = await testDatabase();
  await using _daemon = await startInProcess(db.url);
  await db.query(
    "select net.http_request('GET', 'http://127.0.0.1:9/', max_attempts := 2, retry_first_ms := 1, lane := 'tenant 42')",
  );
  const died = async (after: string): Promise<unknown> => {
    const [letter] = await db.query("select lane, attempts, died::text from net.http_dead_letter where died > $1", [
      after,
    ]);
    return letter;
  };
  const letter = { lane: "tenant 42", attempts: 2, died: expect.any(String) as string };
  const first = (await eventually(() => died("-infinity"))) as typeof letter;
  expect(first).toEqual(letter);
  await db.query(
    "select from (select net.http_replay(id) as id from net.http_dead_letter) replayed where id is not null",
  );
  expect(await eventually(() => died(first.died))).toEqual(letter);
});
