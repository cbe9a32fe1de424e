import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { runCommandLine } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

/** Results as the daemon would store them. */
async function results(
  db: TestDatabase,
  rows: readonly (readonly [id: number, status: number | null, url: string])[],
): Promise<void> {
  for (const [id, status, url] of rows) {
    await db.query(
      `with r as (insert into net._http_response (id, status_code, error_msg) values ($1, $2::int, case when $2::int is null then 'gone' end))
       insert into net.http_response_detail (id, method, url, attempts, error_code, total_ms, enqueued)
       values ($1, 'GET', $3, 1, case when $2::int is null then 'connect' end, 12.4, now())`,
      [id, status, url],
    );
  }
}

const ids = (lines: readonly string[]): readonly number[] => lines.map((line) => Number(/id (\d+)/.exec(line)?.[1]));

test("tail prints each result once, as it comes, and ends when it is asked to", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  const lines: string[] = [];
  const stop = new AbortController();
  const context = { env: { DATABASE_URL: db.url }, print: (line: string) => void lines.push(line), stop: stop.signal };
  const ended = runProgram(["tail"], context);
  const send = async (count: number): Promise<void> => {
    await db.query("select net.http_get($1 || '?secret=hunter2') from generate_series(1, $2::int)", [
      receiver.url("/seen"),
      count,
    ]);
  };
  // Those before it looked for the first time do not count.
  await eventually(async () => {
    await send(1);
    return lines.length > 0;
  });
  await send(30);
  const last = Math.max(
    ...(await db.query<{ id: string }>("select max(id) as id from net.http_response_detail")).map(({ id }) =>
      Number(id),
    ),
  );
  expect(last).toBeGreaterThan(0);
  await eventually(async () => {
    const [row] = await db.query<{ last: string }>("select last_value as last from net.http_request_queue_id_seq");
    return ids(lines).includes(Number(row?.last));
  });
  stop.abort();
  await ended;
  expect(new Set(ids(lines)).size).toBe(lines.length);
  expect(lines.at(-1)).toMatch(/^\S+Z 200 GET http:\/\/127\.0\.0\.1:\d+\/seen\?\*\*\* id \d+, \d+ ms$/);
});

test("tail shows what ended some time ago, dead letters too, and what its filters let through", async () => {
  await using db = await testDatabase();
  await results(db, [
    [1, 200, "https://a.example/x"],
    [2, 404, "https://b.example/x"],
    [3, 503, "https://a.example/y"],
    [4, null, "https://a.example/z"],
  ]);
  await db.query(`insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, status_code)
    values (5, 'POST', 'https://u:hunter2@a.example/d?k=hunter2', 1000, now(), 3, 500)`);
  const tail = async (...flags: readonly string[]): Promise<readonly string[]> => {
    const { lines, failure } = await runCommandLine(db.url, "tail", "--no-follow", "--since", "10 minutes", ...flags);
    expect(failure).toBeNull();
    return lines;
  };
  const all = await tail();
  expect(ids(all)).toEqual([1, 2, 3, 4, 5]);
  expect(all[3]).toMatch(/Z connect GET https:\/\/a\.example\/z id 4, 12 ms, gone$/);
  expect(all[4]).toMatch(/Z 500 POST https:\/\/a\.example\/d\?\*\*\* id 5, dead letter, 3 tries$/);
  expect(ids(await tail("--failed"))).toEqual([2, 3, 4, 5]);
  expect(ids(await tail("--status", "404,5xx"))).toEqual([2, 3, 5]);
  expect(ids(await tail("--host", "A.example", "--failed"))).toEqual([3, 4, 5]);
  const [dead = ""] = await tail("--json", "--status", "500");
  expect(JSON.parse(dead)).toMatchObject({ id: "5", dead: true, url: "https://a.example/d?***", status: 500 });
  const [json = ""] = await tail("--json", "--status", "404");
  expect(JSON.parse(json)).toMatchObject({
    id: "2",
    status: 404,
    url: "https://b.example/x",
    dead: false,
    attempts: 1,
  });
  expect(await runCommandLine(db.url, "tail", "--no-follow")).toEqual({ lines: [], failure: null });
});

test("tail prints many results of one time, each once", async () => {
  await using db = await testDatabase();
  await db.query(`insert into net.http_response_detail (id, method, url, attempts, enqueued)
    select n, 'GET', 'http://h/', 1, now() from generate_series(1, 2500) n`);
  const { lines } = await runCommandLine(db.url, "tail", "--no-follow", "--since", "600");
  expect(ids(lines)).toEqual(Array.from({ length: 2_500 }, (_, index) => index + 1));
});

test("tail refuses filters that it does not understand", async () => {
  await using db = await testDatabase();
  for (const flags of [
    ["--status", "6xx"],
    ["--since", "soon"],
    ["--since", "never"],
  ]) {
    expect((await runCommandLine(db.url, "tail", ...flags)).failure).toMatchObject({ code: "USAGE" });
  }
});
