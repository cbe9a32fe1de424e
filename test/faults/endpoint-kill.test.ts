import { expect, test } from "vitest";

import { startDaemon } from "../support/daemon.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, keysByPath, sessionsGone } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Behaviour, type Receiver, startReceiver } from "../support/receiver.ts";

/** Requests of each test: a fourth each of POST, DELETE, GET, and POST with a key of the caller's. */
const COUNT = 240;
const TIMEOUT_MS = 400;
/** In flight at most. */
const CONCURRENCY = 16;
/** Ended, and their rows not committed yet: what the rate lets through in half a second. */
const UNWRITTEN = 100;
const ENV = { PGNETD_HOST_CONCURRENCY: String(CONCURRENCY), PGNETD_RATE_PER_SECOND: "200" };

const TIMED_OUT = /^Timeout of 400 ms reached/;
const CUT = /^(Transferred a partial file|Failure when receiving data from the peer)$/;

const ENDPOINTS: readonly (readonly [string, Behaviour, RegExp])[] = [
  ["never answers", { kind: "hang" }, TIMED_OUT],
  ["answers after the timeout", { kind: "answer", delayMs: TIMEOUT_MS + 200 }, TIMED_OUT],
  ["sends its body for longer than the timeout", { kind: "slow", chunks: 40, everyMs: 20 }, TIMED_OUT],
  ["resets before a byte", { kind: "reset", delayMs: 20 }, /^Failure when receiving data from the peer$/],
  ["hangs up before a byte", { kind: "close", delayMs: 20 }, /^Server returned nothing \(no headers, no data\)$/],
  ["answers and loses the answer", { kind: "lose", delayMs: 20 }, CUT],
];

async function enqueueMixed(db: TestDatabase, receiver: Receiver): Promise<void> {
  await db.query(
    `select case g % 4
      when 0 then net.http_post($1 || 'post/' || g, timeout_milliseconds := $3)
      when 1 then net.http_delete($1 || 'delete/' || g, timeout_milliseconds := $3)
      when 2 then net.http_get($1 || 'get/' || g, timeout_milliseconds := $3)
      else net.http_post($1 || 'own/' || g, timeout_milliseconds := $3,
        headers := jsonb_build_object('IDEMPOTENCY-key', 'mine-' || g))
    end from generate_series(1, $2::int) g`,
    [receiver.url("/"), COUNT, TIMEOUT_MS],
  );
}

/** Runs a daemon into SIGKILL at the arrival of one request in the middle; resolves to the paths that may come again. */
async function killInTheMiddle(
  db: TestDatabase,
  receiver: Receiver,
  behaviour: Behaviour,
  env: Readonly<Record<string, string>>,
): Promise<ReadonlySet<string>> {
  const daemon = await startDaemon({ databaseUrl: db.url, env, waitUntilReady: false });
  const at = COUNT / 2 + Math.floor(Math.random() * CONCURRENCY);
  receiver.behave((_request, index) => {
    if (index === at) daemon.signal("SIGKILL");
    return behaviour;
  });
  expect(await daemon.ended).toMatchObject({ signal: "SIGKILL" });
  await sessionsGone(db);
  const left = await db.query<{ path: string }>(
    "select regexp_replace(url, '^http://[^/]*', '') as path from net.http_request_queue",
  );
  const arrived = receiver.countByPath();
  return new Set(left.map(({ path }) => path).filter((path) => arrived.has(path)));
}

/** The keys with which requests of one kind came; each path must have come with one, repeats included. */
function keysOf(receiver: Receiver, kind: string): readonly unknown[] {
  const keys = [...keysByPath(receiver.requests)].filter(([path]) => path.startsWith(`/${kind}/`));
  expect(keys.filter(([, one]) => one.size !== 1)).toEqual([]);
  expect(keys).toHaveLength(COUNT / 4);
  return keys.map(([path, [key]]) => (key === `mine-${path.replace(/^.*\//, "")}` ? "mine" : key));
}

test.each(ENDPOINTS)(
  "P2 P3: an endpoint that %s, the daemon killed meanwhile: all end in a row, repeats have their key",
  async (_what, behaviour, words) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await enqueueMixed(db, receiver);
    const mayRepeat = await killInTheMiddle(db, receiver, behaviour, ENV);
    await using _next = await startDaemon({ databaseUrl: db.url, env: ENV });
    await emptied(db, 20_000);

    const counts = await countFault(db, receiver, COUNT);
    reportFault(counts, `in flight or unwritten at the kill: ${mayRepeat.size}`);
    expect(counts).toMatchObject({ answered: COUNT, lost: 0, repeated: mayRepeat.size });
    expect(mayRepeat.size).toBeGreaterThan(0);
    expect(mayRepeat.size).toBeLessThanOrEqual(CONCURRENCY + UNWRITTEN);
    for (const [path, times] of receiver.countByPath()) {
      expect([path, times]).toEqual([path, mayRepeat.has(path) ? 2 : 1]);
    }

    const rows = await db.query<{ status: number | null; timed_out: boolean; words: string }>(
      "select status_code as status, timed_out, error_msg as words from net._http_response",
    );
    expect(rows).toHaveLength(COUNT);
    const odd = rows.filter((row) => row.status !== null || !words.test(row.words));
    expect(odd).toEqual([]);
    expect(new Set(rows.map((row) => row.timed_out))).toEqual(new Set([words === TIMED_OUT]));

    const [installation] = await db.query<{ id: string }>("select id::text from net.pgnetd_installation");
    const marked = [...keysOf(receiver, "post"), ...keysOf(receiver, "delete")];
    expect(marked.filter((key) => !String(key).startsWith(`${installation?.id}-`))).toEqual([]);
    expect(new Set(marked).size).toBe(COUNT / 2);
    expect(new Set(keysOf(receiver, "get"))).toEqual(new Set([undefined]));
    expect(new Set(keysOf(receiver, "own"))).toEqual(new Set(["mine"]));
  },
  30_000,
);

test("P3: without idempotency keys, the repeats after a kill have none but the caller's", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueueMixed(db, receiver);
  const env = { ...ENV, PGNETD_IDEMPOTENCY_KEY: "false" };
  const mayRepeat = await killInTheMiddle(db, receiver, { kind: "answer", delayMs: 50 }, env);
  await using _next = await startDaemon({ databaseUrl: db.url, env });
  await emptied(db, 20_000);

  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `in flight or unwritten at the kill: ${mayRepeat.size}`);
  expect(counts).toMatchObject({ answered: COUNT, lost: 0, repeated: mayRepeat.size });
  expect(mayRepeat.size).toBeGreaterThan(0);
  for (const kind of ["post", "delete", "get"]) {
    expect(new Set(keysOf(receiver, kind))).toEqual(new Set([undefined]));
  }
  expect(new Set(keysOf(receiver, "own"))).toEqual(new Set(["mine"]));
}, 30_000);
