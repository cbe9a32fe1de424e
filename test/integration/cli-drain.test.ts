import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { COMPILE_CACHE } from "../support/compile-cache.ts";
import { eventually } from "../support/eventually.ts";
import { ROOT } from "../support/markdown.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const LEFT = "select count(*)::int as left from net.http_request_queue";
const SLOTS = "select count(*)::int as slots from pg_replication_slots where database = current_database()";
const PUBLICATIONS = "select count(*)::int as publications from pg_publication";

interface Draining {
  readonly lines: readonly string[];
  readonly stop: () => void;
  /** Null where it ended well. */
  readonly ended: Promise<unknown>;
}

function startDrain(url: string, ...flags: string[]): Draining {
  return startDrainWith({ DATABASE_URL: url }, ...flags);
}

function startDrainWith(given: Readonly<Record<string, string>>, ...flags: string[]): Draining {
  const lines: string[] = [];
  const stop = new AbortController();
  const env = { PGNETD_ALLOW_NETWORKS: "127.0.0.0/8", PGNETD_GRACE_MS: "1000", PGNETD_LOG_LEVEL: "error", ...given };
  const print = (line: string): void => void lines.push(line);
  const context = { env, print, stop: stop.signal };
  const ended = runProgram(["drain", ...flags], context);
  return {
    lines,
    stop: () => stop.abort(),
    ended: ended.then(
      () => null,
      (error: unknown) => error,
    ),
  };
}

async function enqueue(
  db: TestDatabase,
  receiver: Receiver,
  count: number,
  delay: string | null = null,
): Promise<void> {
  const call = "net.http_request('GET', $1 || g, delay := $3::interval)";
  await db.query(`select ${call} from generate_series(1, $2::int) g`, [receiver.url("/"), count, delay]);
}

test("drain sends what waits and ends; with its flags slot and publications are gone", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  // It makes the slot: a transaction of another test holds the making up, and the drain ends without.
  await (await startInProcess(db.url)).stop();
  await enqueue(db, receiver, 300);
  const drain = startDrain(db.url, "--drop-slot", "--drop-publications");
  expect(await drain.ended).toBeNull();
  expect(receiver.countByPath().size).toBe(300);
  expect(receiver.requests).toHaveLength(300);
  expect(await db.query(LEFT)).toEqual([{ left: 0 }]);
  expect(await db.query("select count(*)::int as answered from net._http_response")).toEqual([{ answered: 300 }]);
  expect(await db.query(SLOTS)).toEqual([{ slots: 0 }]);
  expect(await db.query(PUBLICATIONS)).toEqual([{ publications: 0 }]);
  expect(drain.lines).not.toContainEqual(expect.stringContaining("does not answer"));
  expect(drain.lines.at(-4)).toBe("drained: the outbox is empty");
  expect(drain.lines.at(-3)).toMatch(/^replication slot pgnetd_\w+ is dropped$/);
  // What it prints makes them again.
  for (const line of drain.lines.slice(-2)) await db.query(/to have it again: (.*);$/.exec(line)?.[1] ?? line);
  await using _daemon = await startInProcess(db.url);
});

test("drain --json prints nothing but lines of JSON: progress, and at the end what is left and what was dropped", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await enqueue(db, receiver, 1, "1 hour");
  const drain = startDrain(db.url, "--json", "--due-only", "--drop-slot", "--drop-publications");
  const news = (): readonly unknown[] => drain.lines.map((line) => JSON.parse(line) as unknown);
  await eventually(() => {
    expect(news()).toContainEqual(
      expect.objectContaining({
        state: "standby",
        detail: expect.stringMatching(/^another pgnetd leads this database/) as unknown,
        due: 0,
        later: 1,
        inFlight: 0,
      }),
    );
    return true;
  }, 20_000);
  await daemon.stop();
  expect(await drain.ended).toBeNull();
  const last = news().at(-1) as { readonly publications: readonly { readonly make: string }[] };
  expect(last).toEqual({
    state: "drained",
    due: 0,
    later: 1,
    nextDue: expect.stringMatching(/^2\d{3}-/) as unknown,
    pausedHosts: [],
    slot: `pgnetd_${db.name}`,
    slotsLeft: [],
    publications: [
      { name: "pgnetd_outbox", make: expect.any(String) as unknown },
      { name: "pgnetd_settings", make: expect.any(String) as unknown },
    ],
  });
  for (const { make } of last.publications) await db.query(make);
});

test("drain --json that is asked to end early says what is left, and nothing of a slot that stays", async () => {
  await using db = await testDatabase();
  await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
  await db.query("select net.http_get('https://paused.example/')");
  const drain = startDrain(db.url, "--json", "--drop-slot");
  await eventually(() => drain.lines.some((line) => line.includes('"state":"leading"')), 20_000);
  drain.stop();
  expect(await drain.ended).toMatchObject({ code: "NOT_DONE", exitCode: 75 });
  expect(JSON.parse(drain.lines.at(-1) ?? "")).toEqual({
    state: "ended",
    due: 1,
    later: 0,
    nextDue: null,
    pausedHosts: ["paused.example"],
  });
});

test("while a transaction of another database holds up the making of a slot, drain sends what waits and leaves no slot", async () => {
  await using other = await testDatabase();
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueue(db, receiver, 3);
  const client = await other.pool.connect();
  try {
    await client.query("begin; select pg_current_xact_id()");
    const drain = startDrain(db.url, "--drop-slot");
    expect(await drain.ended).toBeNull();
    expect(receiver.requests).toHaveLength(3);
    expect(drain.lines.at(-1)).toMatch(
      /^(there is no replication slot to drop|replication slot pgnetd_\w+ is dropped)$/,
    );
  } finally {
    await client.query("commit").finally(() => client.release());
  }
  expect(await db.query(SLOTS)).toEqual([{ slots: 0 }]);
});

test("without flags the slot stays for the next start", async () => {
  await using db = await testDatabase();
  await using _receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await daemon.stop();
  expect(await startDrain(db.url).ended).toBeNull();
  expect(await db.query(SLOTS)).toEqual([{ slots: 1 }]);
});

test("drain leaves the schema as it is, also where a daemon migrates it at its start", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueue(db, receiver, 3);
  // A migration would make it again.
  await db.query("drop publication pgnetd_settings");
  expect(await startDrainWith({ DATABASE_URL: db.url, PGNETD_MIGRATE: "true" }).ended).toBeNull();
  expect(receiver.requests).toHaveLength(3);
  expect(await db.query(PUBLICATIONS)).toEqual([{ publications: 1 }]);
});

test("while another daemon leads, on the port in its settings, it says so, and goes on when that one has ended", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  const { hostname, port } = new URL(daemon.address);
  const drain = startDrainWith({ DATABASE_URL: db.url, PGNETD_HOST: hostname, PGNETD_PORT: port });
  await eventually(() => drain.lines.some((line) => line.startsWith("another pgnetd leads this database: stop it")));
  await daemon.stop();
  await enqueue(db, receiver, 3);
  expect(await drain.ended).toBeNull();
  expect(receiver.requests).toHaveLength(3);
});

test("a later time is waited for, unless only what is due is asked for", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueue(db, receiver, 2);
  await enqueue(db, receiver, 1, "1 hour");
  const dueOnly = startDrain(db.url, "--due-only");
  expect(await dueOnly.ended).toBeNull();
  expect(receiver.requests).toHaveLength(2);
  expect(dueOnly.lines.at(-1)).toMatch(/^drained; left in the outbox: 0 due, 1 for a later time, the first at 2/);

  const all = startDrain(db.url);
  await eventually(() =>
    all.lines.some((line) => line.startsWith("only requests for a later time are left: 0 due, 1")),
  );
  await db.query("update net.http_request_queue set next_attempt_at = now()");
  await db.query("select net.wake()");
  expect(await all.ended).toBeNull();
  expect(receiver.requests).toHaveLength(3);
});

test("asked to end early it says what is left and fails", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)");
  await enqueue(db, receiver, 2);
  await enqueue(db, receiver, 1, "1 hour");
  const drain = startDrain(db.url, "--drop-slot");
  // While a slot is being made, which waits for transactions of other databases, it is listed, without a position, and is gone when that is given up.
  await eventually(async () => (await db.query(`${SLOTS} and confirmed_flush_lsn is not null`))[0]?.["slots"] === 1);
  await eventually(() => drain.lines.some((line) => line.includes("paused hosts: 127.0.0.1")));
  drain.stop();
  expect(await drain.ended).toMatchObject({
    code: "NOT_DONE",
    exitCode: 75,
    message: expect.stringMatching(/^ended before the outbox was empty: .*paused hosts: 127\.0\.0\.1$/) as unknown,
  });
  expect(receiver.requests).toHaveLength(0);
  expect(await db.query(LEFT)).toEqual([{ left: 3 }]);
  expect(await db.query(SLOTS)).toEqual([{ slots: 1 }]);
});

test("requests to paused hosts are waited for, unless only what is due is asked for", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
  await db.query(
    "select net.http_get(url) from unnest(array['https://paused.example/', 'http://PAUSED.example:81/']) url",
  );
  await db.query("select net.http_request('GET', 'https://paused.example/', lane := 'a')");
  await enqueue(db, receiver, 3);
  const all = startDrain(db.url);
  await eventually(() =>
    all.lines.includes("3 due, paused hosts: paused.example; --due-only does not wait for paused hosts"),
  );
  all.stop();
  expect(await all.ended).toMatchObject({ code: "NOT_DONE" });
  await enqueue(db, receiver, 2);
  const dueOnly = startDrain(db.url, "--due-only", "--drop-slot");
  expect(await dueOnly.ended).toBeNull();
  expect(receiver.requests).toHaveLength(5);
  // It made one unless a transaction of another test held that up.
  expect(dueOnly.lines.slice(-2)).toEqual([
    "drained; left in the outbox: 3 due, paused hosts: paused.example",
    expect.stringMatching(/^(there is no replication slot to drop|replication slot pgnetd_\w+ is dropped)$/),
  ]);
  expect(await db.query(SLOTS)).toEqual([{ slots: 0 }]);
});

test("--due-only does not wait for a paused host that the settings spell in another way", async () => {
  await using db = await testDatabase();
  await db.query(`insert into net.http_host_settings (host, paused)
    select host, true from unnest(array['bücher.example', 'api.example.com.', '127.1']) host`);
  await db.query(`select net.http_get(url)
    from unnest(array['https://xn--bcher-kva.example/', 'https://api.example.com/', 'http://127.0.0.1:9/']) url`);
  const drain = startDrain(db.url, "--due-only");
  expect(await drain.ended).toBeNull();
  expect(drain.lines.at(-1)).toMatch(/^drained; left in the outbox: 3 due, paused hosts: /);
  expect(drain.lines).not.toContainEqual(expect.stringContaining("--due-only does not wait"));
});

test("--due-only does not recommend itself while what is due may still be sent", async () => {
  await using db = await testDatabase();
  await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
  // More lanes than it looks at.
  await db.query(
    "select net.http_request('GET', 'https://paused.example/', lane := g::text) from generate_series(1, 1001) g",
  );
  const drain = startDrain(db.url, "--due-only");
  await eventually(() =>
    drain.lines.some((line) => line.startsWith("1001 due, paused hosts: paused.example; 0 in flight")),
  );
  drain.stop();
  expect(await drain.ended).toMatchObject({ code: "NOT_DONE" });
});

test("as a process, SIGTERM ends it with exit code 75 and says what is left", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_request('GET', 'https://example.com', delay := '1 hour')");
  const child = spawn(process.execPath, [join(ROOT, "src/cli/main.ts"), "drain"], {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: COMPILE_CACHE, DATABASE_URL: db.url },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += String(chunk)));
  const ended = once(child, "close");
  await eventually(() => output.includes("only requests for a later time are left"));
  child.kill("SIGTERM");
  expect(await ended).toEqual([75, null]);
  expect(output).toMatch(/^pgnetd: ended before the outbox was empty: 0 due, 1 for a later time, .*\nhint: .*/m);
});

test("a database without the schema is reported at once", async () => {
  await using db = await testDatabase({ migrated: false });
  expect(await startDrain(db.url).ended).toMatchObject({ code: "SCHEMA_MISSING" });
});
