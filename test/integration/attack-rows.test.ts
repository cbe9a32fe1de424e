import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

interface Attacked extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly receiver: Receiver;
  readonly daemon: InProcessDaemon;
}

/** Some of these rows are a matter of hundreds of megabytes, before which nothing else comes. */
const DEADLINE_MS = 60_000;

/** A daemon that finds what `attack` made when it starts, receives the same again as it runs, and serves others all the while. */
async function attacked(
  attack: (db: TestDatabase, url: (path: string) => string, way: "swept" | "streamed") => Promise<unknown>,
): Promise<Attacked> {
  await using cleanup = new AsyncDisposableStack();
  const db = cleanup.use(await testDatabase());
  const receiver = cleanup.use(await startReceiver());
  const honest = (way: string): Promise<unknown> =>
    db.query("select net.http_get($1)", [receiver.url(`/honest/${way}`)]);
  await attack(db, (path) => receiver.url(path), "swept");
  await honest("swept");
  const daemon = cleanup.use(await startInProcess(db.url));
  await eventually(() => receiver.countByPath().has("/honest/swept"), DEADLINE_MS);
  await attack(db, (path) => receiver.url(path), "streamed");
  await honest("streamed");
  await eventually(() => receiver.countByPath().has("/honest/streamed"), DEADLINE_MS);
  await emptied(db);
  expect((await fetch(`${daemon.address}/readyz`)).status).toBe(200);
  const all = cleanup.move();
  return { db, receiver, daemon, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const errors = async (db: TestDatabase): Promise<(string | null)[]> =>
  (
    await db.query<{ error_msg: string | null }>(
      "select r.error_msg from net._http_response r join net.http_response_detail d using (id) where d.url not like '%/honest/%' order by id",
    )
  ).map(({ error_msg }) => error_msg);

test("P2 P6: headers nested 2,500 deep around a number of 16 digits stop nobody, swept or streamed", async () => {
  const deep = `${"[".repeat(2_500)}1234567890123456${"]".repeat(2_500)}`;
  await using world = await attacked((db, url) =>
    db.query("select net.http_get($1, headers := $2)", [url("/deep"), `{"X-Deep": ${deep}}`]),
  );
  expect(await errors(world.db)).toEqual([null, null]);
  expect(world.receiver.requests.filter(({ headers }) => headers["x-deep"] === deep)).toHaveLength(2);
  expect(world.daemon.lines.filter(({ message }) => /could not be read|no stream/.test(String(message)))).toEqual([]);
});

test(
  "P2 P5: numbers that are far longer as text than as stored end as errors, and are not read",
  { timeout: 240_000 },
  async () => {
    const bombs = ["1e131000", `0.${"0".repeat(16_000)}`];
    // The server makes the text of a streamed row whatever it takes: of the largest, a sweep alone is asked.
    const counts = { swept: [20, 10_000], streamed: [20, 200] };
    await using world = await attacked(async (db, url, way) => {
      for (const number of bombs) {
        for (const count of counts[way]) {
          await db.query(
            "select net.http_get($1, headers := jsonb_build_object('X', (select jsonb_agg(number) from to_jsonb($2::numeric) number, generate_series(1, $3::int))))",
            [url("/bomb"), number, count],
          );
        }
      }
    });
    const got = await errors(world.db);
    expect(got).toHaveLength(2 * 2 * bombs.length);
    for (const error of got) expect(error).toContain("its headers are larger than 262144 bytes");
  },
);

test("P5 P6: urls of many megabytes end as errors, and their beginning is kept", async () => {
  const parts = ["\u4e2d", "?@", "#"];
  await using world = await attacked((db, url) =>
    db.query(
      `insert into net.http_request_queue (method, url, timeout_milliseconds)
      select 'GET', $1 || repeat(part, 60000000 / octet_length(part)), 1000 from unnest($2::text[]) as part`,
      [url("/"), parts],
    ),
  );
  const got = await errors(world.db);
  expect(got).toHaveLength(2 * parts.length);
  for (const error of got) expect(error).toContain("its url is larger than 262144 bytes");
  const [longest] = await world.db.query("select max(length(url))::int as characters from net.http_response_detail");
  expect(longest).toEqual({ characters: 2_048 });
});

test("a row out of range is that row's defect, and is not sent: inserted so, or changed while it waited", async () => {
  const insert = (attempts: number, options: string | null, timeoutMs: number): string =>
    `insert into net.http_request_queue (method, url, timeout_milliseconds, attempts, options)
    values ('GET', $1, ${timeoutMs}, ${attempts}, ${options === null ? "null" : `'${options}'`})`;
  const cases: readonly (readonly [sql: string, says: RegExp])[] = [
    [insert(-2_147_483_648, '{"max_attempts": 2, "retry_first_ms": 1}', 1_000), /attempts: .*>=0/],
    [insert(2_147_483_647, null, 1_000), /attempts: .*<=1000/],
    [insert(0, '{"max_attempts": 1001}', 1_000), /options\.max_attempts: .*<=1000/],
    [insert(0, '{"max_attempts": 2, "retry_max_ms": 1e300}', 1_000), /options\.retry_max_ms/],
    [insert(0, '{"max_redirects": -1}', 1_000), /options\.max_redirects: .*>=0/],
    [insert(0, null, -2_147_483_648), /timeout_milliseconds: .*>=0/],
  ];
  await using world = await attacked(async (db, url) => {
    for (const [index, [sql]] of cases.entries()) await db.query(sql, [url(`/range${index}`)]);
  });
  const got = await errors(world.db);
  expect(got).toHaveLength(2 * cases.length);
  for (const [index, error] of got.entries()) expect(error).toMatch(cases[index % cases.length]?.[1] ?? /never/);
  expect(world.receiver.requests.filter(({ path }) => path.startsWith("/range"))).toEqual([]);

  world.receiver.behave(({ path }) => ({ kind: "answer", status: path === "/deferred" ? 500 : 200 }));
  await world.db.query("select net.http_request('GET', $1, max_attempts := 3, retry_first_ms := 600000)", [
    world.receiver.url("/deferred"),
  ]);
  await eventually(
    async () => (await world.db.query("select from net.http_request_queue where attempts = 1")).length === 1,
  );
  await world.db.query("update net.http_request_queue set attempts = -5, next_attempt_at = now()");
  await world.db.query("select net.wake()");
  await emptied(world.db);
  expect((await errors(world.db)).at(-1)).toMatch(/attempts/);
  expect(world.receiver.requests.filter(({ path }) => path === "/deferred")).toHaveLength(1);
});

test("P2: ids, times and timeouts at the ends of their range end as requests do, and the status is shown", async () => {
  const ids = ["-9223372036854775808", "9223372036854775807"];
  const times = [
    "-infinity",
    "infinity",
    "4714-11-24 00:00:00+00 BC",
    "294276-12-31 23:59:59.999999+00",
    "0001-01-01 00:00:00+00 BC",
  ];
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query(`alter database ${db.name} set timezone = 'America/New_York'`);
  await db.query("set timezone = 'Asia/Kathmandu'");
  const insert = (id: string, created: string, at: string | null): Promise<unknown> =>
    db.query(
      `insert into net.http_request_queue (id, method, url, timeout_milliseconds, created, next_attempt_at)
      values ($1, 'GET', $2, 2147483647, $3, $4)`,
      [id, receiver.url(`/${created}/${at}`), created, at],
    );
  const insertAll = async (from: number): Promise<void> => {
    for (const [index, created] of times.entries()) {
      await insert(String(from + 2 * index), created, null);
      await insert(String(from + 2 * index + 1), created, "-infinity");
    }
  };
  await insert(ids[0] ?? "", "infinity", null);
  await insertAll(-100);
  {
    await using _daemon = await startInProcess(db.url);
    await emptied(db);
    await insert(ids[1] ?? "", "infinity", null);
    await insertAll(100);
    await emptied(db);
  }
  expect(receiver.requests).toHaveLength(2 * (1 + 2 * times.length));
  expect(await db.query("select from net._http_response where status_code = 200")).toHaveLength(
    receiver.requests.length,
  );
  await insert("1", "infinity", "infinity");
  // A daemon that has just started has not read the status before.
  await using daemon = await startInProcess(db.url);
  await eventually(async () => {
    const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly oldest: unknown };
    expect(health.oldest).toEqual({ id: "1", ageSeconds: 0 });
    return true;
  });
});

test("P2: columns of anybody's in the outbox are passed over, whatever they are called", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const names = ["unread", "position", "bytes", "running", "kind", "content_bytes", "snapshot", "numbers", "oversize"];
  for (const name of names) await db.query(`alter table net.http_request_queue add column "${name}" text default 'x'`);
  await db.query(
    "alter table net.http_request_queue add column many point[] default '{\"(1,2)\"}', add column more json default '{}'",
  );
  await db.query("select net.http_get($1)", [receiver.url("/swept")]);
  await using _daemon = await startInProcess(db.url);
  await receiver.waitFor(1);
  await db.query("select net.http_get($1)", [receiver.url("/streamed")]);
  await emptied(db);
  expect(receiver.requests.map(({ path }) => path)).toEqual(["/swept", "/streamed"]);
});

test("P2: rows of a table that inherits from the outbox are sent, and end none of the outbox that are at the same places", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave(({ path }) => ({ kind: "answer", status: path === "/retried" ? 503 : 200 }));
  await db.query(`create table public.more () inherits (net.http_request_queue);
    insert into net.http_host_settings (host, paused) values ('localhost', true)`);
  const paused = `http://localhost:${receiver.port}/waits`;
  await db.query("select net.http_get($1 || g) from generate_series(1, 3) g", [paused]);
  await db.query(
    `insert into public.more (method, url, timeout_milliseconds, options) select 'GET', url, 5000, '{"max_attempts": 2, "retry_first_ms": 1}'
    from unnest($1::text[]) url`,
    [["/one", "/two", "/retried"].map((path) => receiver.url(path))],
  );
  await using _daemon = await startInProcess(db.url);
  await eventually(async () => (await db.query("select from public.more")).length === 0);
  const ends = `select (select count(*) from net._http_response)::int as answered, (select count(*) from net.http_dead_letter)::int as dead,
    (select count(*) from net.http_request_queue where next_attempt_at is null)::int as waiting`;
  expect(await db.query(ends)).toEqual([{ answered: 2, dead: 1, waiting: 3 }]);
  await db.query("update net.http_host_settings set paused = false");
  await emptied(db);
  expect(Object.fromEntries(receiver.countByPath())).toEqual({
    "/one": 1,
    "/two": 1,
    "/retried": 2,
    "/waits1": 1,
    "/waits2": 1,
    "/waits3": 1,
  });
});

test("P6: locked rows that cannot be sent, more than fit into memory, stop nobody", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, { PGNETD_MEMORY_REQUESTS: "200", PGNETD_CONCURRENCY: "100" });
  await db.query(
    "select net.http_request('GET', 'http://other.example/', delay := '1 day') from generate_series(1, 400)",
  );
  const locker = await db.pool.connect();
  // What changes is not streamed: the daemon learns of it when it is locked.
  await db.query("update net.http_request_queue set headers = '[]', next_attempt_at = now()");
  await locker.query("begin; select from net.http_request_queue for update");
  await db.query("select net.wake()");
  await eventually(() => daemon.lines.some(({ host }) => host === "other.example"));
  for (const round of [1, 2, 3, 4, 5]) {
    await db.query("select net.http_get($1) from generate_series(1, 20)", [receiver.url(`/honest/${round}`)]);
    await eventually(async () => (await db.query("select from net._http_response")).length === 20 * round, DEADLINE_MS);
  }
  await locker.query("commit").finally(() => locker.release());
  await emptied(db);
  expect(await errors(db)).toHaveLength(400);
}, 120_000);
