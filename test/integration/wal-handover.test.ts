import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { connectionConfig } from "../../src/pg/pool.ts";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { takeOver } from "../../src/leader/handover.ts";
import { takeLeaderLock } from "../../src/leader/lock.ts";
import { Precedence, PRECEDENCE_MS } from "../../src/leader/precedence.ts";
import { eventually } from "../support/eventually.ts";
import { silentLog } from "../support/silent-log.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const LEADER = { classId: LOCK_CLASS_ID, shard: 0 };
const ANSWER_MS = 2_000;
const NEVER = new AbortController().signal;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});

/** A session of some daemon. Closing it ends it. */
async function connect(): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client(connectionConfig(db.url, "pgnetd (pg_net) leader"));
  client.on("error", () => undefined);
  await client.connect();
  const pid = (await client.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid;
  return Object.assign(client, {
    async [Symbol.asyncDispose]() {
      // A goodbye would be heard only at the end of a statement under way.
      await db.query("select pg_terminate_backend($1)", [pid]);
      await client.end();
      await eventually(async () => (await db.query("select from pg_locks where pid = $1", [pid])).length === 0);
    },
  });
}

/** Waits for the leader's lock on a session of its own. */
async function standBy(): Promise<{ holders: number; leads: boolean } & AsyncDisposable> {
  const client = await connect();
  const stop = new AbortController();
  const seen = { holders: 0, leads: false };
  const waiting = (): void => {
    seen.holders++;
  };
  const waited = takeLeaderLock(client, LEADER, {
    precedence: new Precedence(),
    clock: systemClock,
    signal: stop.signal,
    waiting,
    answerMs: ANSWER_MS,
  }).then(
    (heldAt) => {
      seen.leads = heldAt !== null;
    },
    () => undefined,
  );
  await eventually(() => seen.holders > 0);
  return Object.assign(seen, {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await client[Symbol.asyncDispose]();
      await waited;
    },
  });
}

test("who waits for the lock learns who else has got it meanwhile", async () => {
  const leader = await connect();
  await lead(leader);
  await using stranger = await connect();
  const taken = lead(stranger);
  await eventually(
    async () => (await db.query("select from pg_locks where not granted and locktype = 'advisory'")).length > 0,
  );
  await using waiting = await connect();
  const seen: (number | null | undefined)[] = [];
  const stop = new AbortController();
  const waited = takeLeaderLock(waiting, LEADER, {
    precedence: new Precedence(),
    clock: systemClock,
    signal: stop.signal,
    waiting: (holder) => seen.push(holder?.pid),
    answerMs: ANSWER_MS,
    sliceMs: 200,
  });
  waited.catch(() => undefined);
  await eventually(() => seen.length === 1);
  await leader.end();
  await taken;
  await eventually(() => seen.length === 2);
  expect(seen[1]).toBe(await pidOf(stranger));
  stop.abort();
});

/** How long a session of a daemon with `precedence` takes until it has the free lock, in milliseconds. */
async function lockTakenMs(precedence: Precedence): Promise<number> {
  await using client = await connect();
  const began = performance.now();
  const waiting = (): void => expect.fail("the lock is free");
  await takeLeaderLock(client, LEADER, { precedence, clock: systemClock, signal: NEVER, waiting, answerMs: ANSWER_MS });
  return performance.now() - began;
}

test("P3: of a new session the free lock is left alone for a while by a daemon that stood by, not by one that led", async () => {
  const precedence = new Precedence();
  expect(await lockTakenMs(precedence)).toBeLessThan(PRECEDENCE_MS);
  precedence.standsBy();
  expect(await lockTakenMs(precedence)).toBeGreaterThanOrEqual(PRECEDENCE_MS);
  // It has had the lock by now.
  expect(await lockTakenMs(precedence)).toBeLessThan(PRECEDENCE_MS);
});

test("P3: a daemon that leaves the lock alone waits for it as soon as another has it", async () => {
  await using leader = await connect();
  const precedence = new Precedence();
  precedence.standsBy();
  await using client = await connect();
  const began = performance.now();
  const waits = Promise.withResolvers<number>();
  const stop = new AbortController();
  const waited = takeLeaderLock(client, LEADER, {
    precedence,
    clock: systemClock,
    signal: stop.signal,
    waiting: () => waits.resolve(performance.now() - began),
    answerMs: ANSWER_MS,
  });
  waited.catch(() => undefined);
  await lead(leader);
  expect(await waits.promise).toBeLessThan(PRECEDENCE_MS);
  stop.abort();
});

test("P3: a daemon that starts in the middle of a hand-over leaves the free lock to the session that it is for", async () => {
  await using next = await connect();
  await next.query("select pg_advisory_lock($1, $2)", [HANDOVER_CLASS_ID, LEADER.shard]);
  await using newcomer = await standBy();
  expect(newcomer.leads).toBe(false);
  await eventually(async () => {
    const { rows } = await next.query<{ held: boolean }>("select pg_try_advisory_lock($1, $2) as held", [
      LEADER.classId,
      LEADER.shard,
    ]);
    return rows[0]?.held === true;
  });
  await next.query("select pg_advisory_unlock($1, $2)", [HANDOVER_CLASS_ID, LEADER.shard]);
  expect(newcomer.leads).toBe(false);
  await next.end();
  await eventually(() => newcomer.leads);
});

test("a session that waited for the lock waits without a limit for other locks afterwards, as for its slot", async () => {
  const leader = await connect();
  await lead(leader);
  await using waiting = await connect();
  const reported = Promise.withResolvers<void>();
  const waited = takeLeaderLock(waiting, LEADER, {
    precedence: new Precedence(),
    clock: systemClock,
    signal: NEVER,
    waiting: () => reported.resolve(),
    answerMs: ANSWER_MS,
  });
  waited.catch(() => undefined);
  await reported.promise;
  await leader.end();
  expect(await waited).not.toBeNull();
  expect((await waiting.query("show lock_timeout")).rows).toEqual([{ lock_timeout: "0" }]);
});

async function lead(client: pg.Client): Promise<void> {
  await client.query("select pg_advisory_lock($1, $2)", [LEADER.classId, LEADER.shard]);
}

const handover = (end: () => Promise<void>, signal = NEVER) => ({
  end,
  clock: systemClock,
  log: silentLog,
  signal,
  answerMs: ANSWER_MS,
  askEveryMs: 200,
});

test("P3: leadership goes to another session of the leader past those that wait, each time; and to one of those when it ends", async () => {
  let leader = await connect();
  await lead(leader);
  await using first = await standBy();
  await using second = await standBy();
  for (let one = 1; one <= 10; one++) {
    const next = await connect();
    const ended = leader;
    expect(
      await takeOver(
        next,
        LEADER,
        handover(() => ended.end()),
      ),
    ).toMatchObject({ hasLock: true });
    leader = next;
  }
  expect([first.leads, second.leads]).toEqual([false, false]);
  const endedAt = performance.now();
  await leader.end();
  await eventually(() => first.leads || second.leads);
  expect(performance.now() - endedAt).toBeLessThan(1_000);
  expect([first.leads, second.leads]).not.toEqual([true, true]);
});

test("P2: where the leader dies while it hands over, one of those that wait leads", async () => {
  await using leader = await connect();
  await lead(leader);
  await using standby = await standBy();
  await using next = await connect();
  const over = takeOver(
    next,
    LEADER,
    handover(async () => {
      await leader.query("select pg_advisory_unlock_all()");
      await eventually(async () => (await db.query("select pg_terminate_backend($1)", [await pidOf(next)])).length > 0);
    }),
  );
  // The server's word, or the driver's where the connection was gone before it was asked.
  await expect(over).rejects.toThrow(/terminat|connection/);
  await eventually(() => standby.leads, 1_000);
});

async function pidOf(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid;
}

test("P3: leadership that cannot be handed over is not given up", async () => {
  await using other = await connect();
  await other.query("select pg_advisory_lock($1, 0)", [HANDOVER_CLASS_ID]);
  await using next = await connect();
  let isEnded = false;
  const end = async (): Promise<void> => {
    isEnded = true;
  };
  await expect(takeOver(next, LEADER, handover(end))).rejects.toThrow("holds the lock for handing over");
  expect(isEnded).toBe(false);
});

test("P3: a leader that takes longer to end than an answer may take is waited for", async () => {
  await using leader = await connect();
  await lead(leader);
  await using next = await connect();
  const pid = await pidOf(next);
  const [begun] = await db.query<{ at: string }>("select clock_timestamp()::text as at");
  const later = "select from pg_stat_activity where pid = $1 and query_start > $2::timestamptz + interval '1200 ms'";
  const over = takeOver(next, LEADER, {
    ...handover(async () => {
      await eventually(async () => (await db.query(later, [pid, begun?.at])).length > 0);
      await leader.end();
    }),
    answerMs: 1_000,
  });
  expect(await over).toMatchObject({ hasLock: true });
});

test("a hand-over that is asked to end ends, and gives up where another took over leadership", async () => {
  await using other = await connect();
  await lead(other);
  await using next = await connect();
  const stop = new AbortController();
  const over = takeOver(
    next,
    LEADER,
    handover(async () => undefined, stop.signal),
  );
  stop.abort();
  expect(await over).toBe(null);
  await using third = await connect();
  await next.query("select pg_advisory_unlock_all()");
  await expect(
    takeOver(
      third,
      LEADER,
      handover(async () => undefined),
    ),
  ).rejects.toThrow("has taken the leader's lock");
});
