import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { askPage, type PageAnswer, watchPage } from "../support/page-client.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";
import { startReceiver } from "../support/receiver.ts";

const TOKEN = "a-token-of-the-test-0123";
const PAUSE = { action: "pause", host: "slow.example" };

interface Frame {
  readonly startedPerSecond: number | null;
  readonly state: string;
  readonly hasActions: boolean;
  readonly values: Readonly<Record<string, unknown>>;
}

interface Lists {
  readonly lanes: readonly Readonly<Record<string, unknown>>[];
  readonly pausedHosts: readonly string[];
  readonly failures: readonly Readonly<Record<string, unknown>>[];
  readonly deadLetters: readonly Readonly<Record<string, unknown>>[];
}

async function asJson(answer: Promise<PageAnswer>): Promise<Record<string, unknown>> {
  return JSON.parse((await answer).text) as Record<string, unknown>;
}

function act(
  daemon: InProcessDaemon,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<PageAnswer> {
  return askPage(daemon.address, "/page/actions", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${TOKEN}`, ...headers },
    body: JSON.stringify(body),
  });
}

async function isPaused(db: TestDatabase): Promise<boolean> {
  const rows = await db.query("select from net.http_host_settings where paused and host = $1", [PAUSE.host]);
  return rows.length === 1;
}

test("the page is served with a strict policy, from a fixed list of files, and no other path leads to one", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url);
  const index = await askPage(daemon.address, "/");
  expect(index.status).toBe(200);
  expect(index.headers["content-type"]).toBe("text/html; charset=utf-8");
  const files = Array.from(index.text.matchAll(/(?:src|href)="(\/[^"]+)"/g), ([, path = ""]) => path);
  expect(files).toContain("/page/main.js");
  const seen = new Set(files);
  for (const path of seen) {
    const answer = await askPage(daemon.address, path);
    expect([path, answer.status]).toEqual([path, 200]);
    const policy = String(answer.headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
    for (const [, name = ""] of answer.text.matchAll(/from "\.\/([\w-]+\.js)"|import "\.\/[\w-]+\.js"/g)) {
      if (name !== "") seen.add(`/page/${name}`);
    }
  }
  expect(index.text).not.toMatch(/<style|style=|<script(?! type="module" src=)| on\w+=/);
  for (const path of ["/page/../package.json", "/page/%2e%2e/page.ts", "/page/page.ts", "/page/", "/other"]) {
    expect([path, (await askPage(daemon.address, path)).status]).toEqual([path, 404]);
  }
  expect((await askPage(daemon.address, "/", { method: "POST" })).status).toBe(405);
});

test("the page is not there where it is turned off", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE: "off" });
  expect((await askPage(daemon.address, "/")).status).toBe(404);
  expect((await askPage(daemon.address, "/page/events")).status).toBe(404);
});

test("what the page shows at rest is what SQL says", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave(({ path }) => ({ kind: "answer", status: path === "/bad" ? 500 : 200 }));
  await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_get($1) from generate_series(1, 7)", [receiver.url()]);
  await db.query("select net.http_get($1)", [receiver.url("/bad")]);
  await db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 1)", [receiver.url("/bad")]);
  await emptied(db);
  await db.query("select net.http_get('https://paused.example/a') from generate_series(1, 3)");
  await db.query("select net.http_request('GET', 'https://later.example/', delay := '1 hour')");
  using watch = await watchPage(daemon.address);
  await eventually(async () => {
    const [sql] = await db.query<Record<string, number>>(
      `select (select count(*)::int from net.http_request_queue) as outbox,
         (select count(*)::int from net.http_request_queue where next_attempt_at > now()) as deferred,
         (select count(*)::int from net.http_dead_letter) as dead,
         (select count(*)::int from net._http_response where status_code >= 400) as failed,
         (select outbox_rows::int from net.http_lane_status() where lane = 'paused.example') as lane`,
    );
    const { values, state } = watch.latest.get("frame") as Frame;
    const { lanes, failures, pausedHosts, deadLetters } = watch.latest.get("lists") as Lists;
    expect(state).toBe("live");
    expect(values["queue.outboxRows"]).toBe(sql?.["outbox"]);
    expect(values["queue.deferredRows"]).toBe(sql?.["deferred"]);
    expect(values["queue.deadLetters"]).toBe(sql?.["dead"]);
    expect(values["requests.started"]).toBe(receiver.requests.length);
    expect(values["slot.slotActive"]).toBe(1);
    expect(failures).toHaveLength(sql?.["failed"] ?? -1);
    expect(deadLetters).toHaveLength(sql?.["dead"] ?? -1);
    expect(pausedHosts).toEqual(["paused.example"]);
    expect(lanes.find(({ lane }) => lane === "paused.example")).toMatchObject({
      host: "paused.example",
      outboxRows: sql?.["lane"],
      isPaused: true,
    });
    expect(sql).toEqual({ outbox: 4, deferred: 1, dead: 1, failed: 1, lane: 3 });
    return true;
  }, 20_000);
});

test("a lane of which everything is deferred shows what its host last did wrong", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 503 });
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 3600000)", [receiver.url()]);
  await eventually(async () => (await db.query("select from net.http_request_queue where attempts = 1")).length === 1);
  using watch = await watchPage(daemon.address);
  await eventually(() => {
    const [lane] = (watch.latest.get("lists") as Lists).lanes;
    expect(lane).toMatchObject({ deferred: 1, queued: 0, inFlight: 0, lastError: "503" });
    expect(lane?.["lastErrorSeconds"]).toBeGreaterThan(0);
    return true;
  }, 20_000);
});

test("P11: urls show their host alone, or their path where it is set, and no search finds what is not shown", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 404 });
  const secret = `http://user:hunter2@127.0.0.1:${receiver.port}/hooks/T0KEN?key=s3cret#fragment`;
  await using daemon = await startInProcess(db.url);
  const [first] = await db.query<{ id: string }>("select net.http_get($1)::text as id", [secret]);
  await emptied(db);
  await db.query("select net.http_request('GET', $1, delay := '1 hour')", [secret]);
  {
    using watch = await watchPage(daemon.address);
    await eventually(() => (watch.latest.get("lists") as Lists | undefined)?.failures.length === 1);
    expect((watch.latest.get("lists") as Lists).failures[0]?.["url"]).toBe(`http://127.0.0.1:${receiver.port}/***`);
    expect(watch.text).not.toMatch(/hunter2|T0KEN|s3cret|fragment/);
  }
  const searched = async (of: InProcessDaemon, text: string): Promise<readonly unknown[]> => {
    const answer = await askPage(of.address, `/page/search?q=${encodeURIComponent(text)}`);
    expect(answer.text.replace(/"note":.*/, "")).not.toMatch(/hunter2|s3cret|fragment/);
    return (JSON.parse(answer.text) as { requests: unknown[] }).requests;
  };
  const origin = `http://127.0.0.1:${receiver.port}`;
  expect(await searched(daemon, first?.id ?? "")).toHaveLength(1);
  expect(await searched(daemon, origin)).toHaveLength(2);
  // As many for a wrong path as for the right one: it is not compared.
  expect(await searched(daemon, `${origin}/hooks/T0KEN`)).toHaveLength(2);
  expect(await searched(daemon, `${origin}/hooks/WRONG`)).toHaveLength(2);
  expect(await searched(daemon, "http://other.example")).toEqual([]);
  await daemon.stop();
  await using open = await startInProcess(db.url, { PGNETD_PAGE_URLS: "path" });
  const [found] = await searched(open, `${origin}/hooks/T0`);
  expect(found).toMatchObject({ url: `${origin}/hooks/T0KEN?***` });
  expect(await searched(open, `${origin}/hooks/WRONG`)).toEqual([]);
  expect(await searched(open, `${origin}/hooks/T0KEN?key=wrong`)).toHaveLength(2);
});

test("actions need the token, and the page itself: not another site, nor a form", async () => {
  await using db = await testDatabase();
  {
    await using daemon = await startInProcess(db.url);
    expect((await act(daemon, PAUSE)).status).toBe(403);
  }
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
  const { host } = new URL(daemon.address);
  const refused: Readonly<Record<string, string>>[] = [
    { Authorization: "" },
    { Authorization: "Bearer wrong-token-of-the-test" },
    { Authorization: `Bearer ${TOKEN}x` },
    { Authorization: `Basic ${TOKEN}` },
    { Origin: "https://elsewhere.example" },
    { Origin: "null" },
    { Origin: `http://${host}0` },
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { "Sec-Fetch-Site": "none" },
    { Host: `rebound.example:${new URL(daemon.address).port}` },
  ];
  for (const headers of refused) expect([headers, (await act(daemon, PAUSE, headers)).status]).toEqual([headers, 403]);
  expect((await act(daemon, PAUSE, { "Content-Type": "text/plain" })).status).toBe(415);
  expect((await askPage(daemon.address, "/page/actions")).status).toBe(405);
  for (const body of [
    {},
    { action: "drop" },
    { ...PAUSE, host: "a b" },
    { ...PAUSE, id: "1" },
    { action: "cancel", id: "x" },
    { action: "cancel", id: "9223372036854775808" },
  ]) {
    expect([body, (await act(daemon, body)).status]).toEqual([body, 400]);
  }
  // More than the daemon keeps, and more than sockets hold: the answer comes all the same.
  expect((await act(daemon, { ...PAUSE, long: "x".repeat(20_000_000) })).status).toBe(400);
  expect(await isPaused(db)).toBe(false);
  const own = { Origin: `http://${host}`, "Sec-Fetch-Site": "same-origin" };
  expect((await act(daemon, PAUSE, own)).status).toBe(200);
  expect(await isPaused(db)).toBe(true);
  expect(JSON.stringify(daemon.lines)).not.toContain(TOKEN);
});

test("other sites may neither watch nor search, and nobody may under a name that is not known", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_HOSTS: "pgnetd.example" });
  const status = async (path: string, headers: Readonly<Record<string, string>>): Promise<number> =>
    (await askPage(daemon.address, path, { headers })).status;
  for (const path of ["/page/events", "/page/search?q=1"]) {
    expect(await status(path, { "Sec-Fetch-Site": "cross-site" })).toBe(403);
    expect(await status(path, { "Sec-Fetch-Site": "same-site" })).toBe(403);
    expect(await status(path, { Origin: "https://elsewhere.example" })).toBe(403);
    expect(await status(path, { Host: "rebound.example" })).toBe(403);
  }
  expect(await status("/", { Host: "rebound.example" })).toBe(403);
  expect(await status("/", { Host: "127.0.0.1.rebound.example" })).toBe(403);
  for (const host of ["pgnetd.example:9464", "localhost:1", "[::1]:9464", "10.1.2.3"]) {
    expect([host, await status("/", { Host: host })]).toEqual([host, 200]);
  }
  expect((await fetch(`${daemon.address}/healthz`)).status).toBe(200);
});

test("with a token for reading, the page, its events and its search ask for it, and a wrong one is recorded", async () => {
  await using db = await testDatabase();
  const reading = "a-token-for-reading-0123";
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_READ_TOKEN: reading, PGNETD_PAGE_TOKEN: TOKEN });
  for (const path of ["/", "/page/main.js", "/page/events", "/page/search?q=1"]) {
    const ask = (authorization?: string): Promise<PageAnswer> =>
      askPage(daemon.address, path, { headers: authorization === undefined ? {} : { Authorization: authorization } });
    const asked = await ask();
    expect([path, asked.status, asked.headers["www-authenticate"]]).toEqual([path, 401, 'Basic realm="pgnetd"']);
    expect(asked.headers["content-security-policy"]).toContain("default-src 'none'");
    expect((await ask(`Bearer ${reading}x`)).status).toBe(401);
    if (path === "/page/events") continue;
    for (const token of [reading, TOKEN]) expect([path, (await ask(`Bearer ${token}`)).status]).toEqual([path, 200]);
  }
  // What lets read does not let act.
  expect((await act(daemon, PAUSE, { Authorization: `Bearer ${reading}` })).status).toBe(403);
  expect((await act(daemon, PAUSE)).status).toBe(200);
  const refused = daemon.lines.filter(({ message }) => message === "the page: a reader was refused");
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({ from: "127.0.0.1" });
  expect(JSON.stringify(daemon.lines)).not.toContain(reading);
  expect((await fetch(`${daemon.address}/metrics`)).status).toBe(200);
});

test("each action is done in the database, and recorded in the log", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 500 });
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
  const recorded = (action: string): readonly unknown[] => daemon.lines.filter((line) => line["action"] === action);
  expect(await asJson(act(daemon, PAUSE))).toEqual({ message: "slow.example is paused: its requests wait" });
  expect(await isPaused(db)).toBe(true);
  expect((await act(daemon, { ...PAUSE, action: "resume" })).status).toBe(200);
  expect(await isPaused(db)).toBe(false);
  expect((await act(daemon, { ...PAUSE, action: "resume" })).status).toBe(404);
  await db.query("insert into net.http_host_settings (host, paused) values ('bücher.example', true), ('127.1', true)");
  using watch = await watchPage(daemon.address);
  await eventually(() => {
    const { pausedHosts } = watch.latest.get("lists") as Lists;
    expect(pausedHosts).toEqual(expect.arrayContaining(["127.0.0.1", "xn--bcher-kva.example"]));
    return true;
  });
  for (const host of ["127.0.0.1", "xn--bcher-kva.example"])
    expect((await act(daemon, { action: "resume", host })).status).toBe(200);
  expect(await db.query("select from net.http_host_settings where paused")).toEqual([]);
  const [later] = await db.query<{ id: string }>(
    "select net.http_request('GET', 'https://later.example/', delay := '1 hour')::text as id",
  );
  expect((await act(daemon, { action: "cancel", id: later?.id })).status).toBe(200);
  expect((await act(daemon, { action: "cancel", id: later?.id })).status).toBe(404);
  expect(await db.query("select from net.http_request_queue")).toEqual([]);
  const highest = "9223372036854775807";
  await db.query(
    "insert into net.http_request_queue (id, method, url, timeout_milliseconds, next_attempt_at) values ($1, 'GET', 'https://later.example/', 1, 'infinity')",
    [highest],
  );
  const found = await asJson(askPage(daemon.address, `/page/search?q=${highest}`));
  expect(found["requests"]).toMatchObject([{ id: highest }]);
  expect((await act(daemon, { action: "cancel", id: highest })).status).toBe(200);
  const [dead] = await db.query<{ id: string }>(
    "select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 1)::text as id",
    [receiver.url()],
  );
  await eventually(async () => (await db.query("select from net.http_dead_letter")).length === 1, 20_000);
  receiver.behave({ kind: "answer" });
  expect((await act(daemon, { action: "replay", id: dead?.id })).status).toBe(200);
  expect((await act(daemon, { action: "replay", id: dead?.id })).status).toBe(404);
  await emptied(db);
  expect(await db.query("select from net.http_dead_letter")).toEqual([]);
  expect((await act(daemon, { action: "wake" })).status).toBe(200);
  for (const action of ["pause", "resume", "cancel", "replay", "wake"])
    expect([action, recorded(action).length > 0]).toEqual([action, true]);
  expect(recorded("pause")[0]).toMatchObject({ host: "slow.example", from: "127.0.0.1", done: true });
});

test("a lane shows the settings of its host, however these and its urls spell it, and can be resumed", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "hang" });
  await db.query(
    `insert into net.http_host_settings (host, rate_per_second, paused) values
      ('bücher.example', null, true), ('dotted.example.', 7, true), ('127.1', 2, false), ('127.0.0.1', 3, false)`,
  );
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
  await db.query("select net.http_get(url, timeout_milliseconds := 60000) from unnest($1::text[]) as url", [
    [receiver.url(), "http://BÜCHER.example/", "http://xn--bcher-kva.example/", "http://dotted.example/"],
  ]);
  using watch = await watchPage(daemon.address);
  const lanes = (): Lists["lanes"] => (watch.latest.get("lists") as Lists).lanes;
  const paused = (host: string): readonly unknown[] =>
    lanes().flatMap((lane) => (lane["host"] === host ? [lane["isPaused"]] : []));
  await eventually(() => {
    expect(lanes()).toHaveLength(4);
    expect(lanes().find(({ host }) => host === "127.0.0.1")).toMatchObject({ ratePerSecond: 2, isPaused: false });
    expect(lanes().find(({ host }) => host === "dotted.example")).toMatchObject({ ratePerSecond: 7, isPaused: true });
    expect(paused("xn--bcher-kva.example")).toEqual([true, true]);
    return true;
  }, 20_000);
  expect((await act(daemon, { action: "resume", host: "xn--bcher-kva.example" })).status).toBe(200);
  await eventually(() => {
    expect(paused("xn--bcher-kva.example")).not.toContain(true);
    expect(paused("dotted.example")).toEqual([true]);
    return true;
  }, 20_000);
});

test("a daemon on standby shows who leads, and what waits", async () => {
  await using db = await testDatabase();
  await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
  await using leader = await startInProcess(db.url);
  await using standby = await startInProcess(db.url, {}, "standby");
  await db.query("select net.http_get('https://paused.example/a') from generate_series(1, 3)");
  using watch = await watchPage(standby.address);
  await eventually(() => {
    const frame = watch.latest.get("frame") as Frame;
    expect(frame).toMatchObject({ state: "standby", holder: { pid: expect.any(Number) as number } });
    expect(frame.values).toMatchObject({ "state.leader": 0, "queue.outboxRows": 3 });
    expect((watch.latest.get("lists") as Lists).lanes).toHaveLength(1);
    return true;
  });
  expect(leader.lines.length).toBeGreaterThan(0);
});

test("the page goes on while the database is away, and says so", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  await using daemon = await startInProcess(proxy.through(db.url));
  using watch = await watchPage(daemon.address);
  const isUp = (): unknown => (watch.latest.get("frame") as Frame | undefined)?.values["state.databaseUp"];
  await eventually(() => isUp() === 1 && watch.latest.has("lists"));
  proxy.refuse(true);
  proxy.cut();
  await eventually(() => isUp() === 0, 20_000);
  await eventually(() => typeof (watch.latest.get("lists") as { error?: unknown }).error === "string", 20_000);
  expect((await askPage(daemon.address, "/")).status).toBe(200);
  expect((await askPage(daemon.address, "/page/search?q=1")).status).toBe(500);
  proxy.refuse(false);
  await eventually(() => isUp() === 1, 20_000);
  await eventually(() => (watch.latest.get("lists") as { error?: unknown }).error === undefined, 20_000);
});

test("P5: fifty may watch at once; one more is refused, until another has gone", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url);
  {
    using open = new DisposableStack();
    for (let count = 0; count < 50; count++) open.use(await watchPage(daemon.address));
    expect((await askPage(daemon.address, "/page/events")).status).toBe(503);
    expect((await fetch(`${daemon.address}/healthz`)).status).toBe(200);
  }
  using watch = await eventually(() => watchPage(daemon.address));
  await eventually(() => watch.latest.has("frame"));
});
