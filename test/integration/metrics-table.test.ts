import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { scrape } from "../support/scrape.ts";

/** What a case acts on. */
interface World {
  readonly db: TestDatabase;
  readonly receiver: Receiver;
  readonly daemon: InProcessDaemon;
}

interface Case {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Settings of hosts that are there when the daemon starts. */
  readonly settings?: string;
  readonly act: (world: World) => Promise<unknown>;
  /** Values by series; a function says which are right. */
  readonly expected: Readonly<Record<string, number | ((value: number) => boolean)>>;
}

const ended = (outcome: string): string => `pgnetd_requests_ended_total{outcome="${outcome}"}`;
const queued = (reason: string): string => `pgnetd_requests_queued{waits_for="${reason}"}`;
const send =
  (url: string) =>
  async ({ db }: World): Promise<unknown> =>
    db.query("select net.http_get($1)", [url]);
const some = (value: number): boolean => value > 0;

const answered = (status: number): Case => ({
  name: `an answer of ${status}`,
  act: async ({ db, receiver }) => {
    receiver.behave({ kind: "answer", status });
    await db.query("select net.http_get($1) from generate_series(1, 2)", [receiver.url()]);
  },
  expected: { [ended(`${Math.floor(status / 100)}xx`)]: 2, pgnetd_requests_started_total: 2 },
});

const failed = (outcome: string, url: string, timeoutMs = 5_000): Case => ({
  name: `a try that ends as ${outcome}`,
  act: ({ db }) => db.query("select net.http_get($1, timeout_milliseconds := $2)", [url, timeoutMs]),
  expected: { [ended(outcome)]: 1, pgnetd_requests_started_total: 1, pgnetd_start_to_answer_seconds_count: 1 },
});

const behaving = (outcome: string, behaviour: Parameters<Receiver["behave"]>[0], timeoutMs = 5_000): Case => ({
  name: `a try that ends as ${outcome}, by what the host does`,
  env: { PGNETD_MAX_RESPONSE_BYTES: "1024", PGNETD_MAX_REDIRECTS: "1" },
  act: ({ db, receiver }) => {
    receiver.behave(behaviour);
    return db.query("select net.http_post($1, timeout_milliseconds := $2)", [receiver.url("/"), timeoutMs]);
  },
  expected: { [ended(outcome)]: 1 },
});

const retried: Case = {
  name: "a retry, and a dead letter after it",
  act: ({ db, receiver }) => {
    receiver.behave({ kind: "answer", status: 503 });
    return db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 10)", [receiver.url()]);
  },
  expected: {
    pgnetd_requests_retried_total: 1,
    pgnetd_requests_dead_total: 1,
    pgnetd_dead_letters: 1,
    pgnetd_requests_started_total: 2,
    [ended("5xx")]: 2,
    pgnetd_commit_to_start_seconds_count: 2,
    // Both tries came when they were due: the second one's wait for its time is no latency.
    pgnetd_answer_to_stored_seconds_count: 2,
  },
};

const cancelled: Case = {
  name: "a request deleted while it was in flight",
  act: async ({ db, receiver }) => {
    const answer = Promise.withResolvers<void>();
    receiver.behave({ kind: "answer", after: answer.promise });
    await db.query("select net.http_get($1)", [receiver.url()]);
    await receiver.waitFor(1);
    await db.query("delete from net.http_request_queue");
    answer.resolve();
  },
  expected: { pgnetd_requests_cancelled_total: 1, [ended("2xx")]: 1 },
};

const unreadable: Case = {
  name: "a row that cannot be sent",
  act: ({ db, receiver }) =>
    db.query(
      "insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', $1, '[1]', 5000)",
      [receiver.url()],
    ),
  expected: { [ended("bad_request")]: 1, pgnetd_requests_started_total: 0 },
};

const hanging: Case = {
  name: "a host that hangs takes its places, and what waits for it shows with its age",
  env: { PGNETD_HOST_CONCURRENCY: "2" },
  act: async ({ db, receiver }) => {
    receiver.behave({ kind: "hang" });
    await db.query("select net.http_get($1, timeout_milliseconds := 60000) from generate_series(1, 5)", [
      receiver.url(),
    ]);
  },
  expected: {
    pgnetd_requests_in_flight: 2,
    [queued("host_concurrency")]: 3,
    [queued("rate")]: 0,
    'pgnetd_oldest_queued_seconds{waits_for="host_concurrency"}': some,
    pgnetd_oldest_due_seconds: some,
    pgnetd_outbox_rows: 5,
    pgnetd_memory_requests: 5,
    pgnetd_memory_bytes: some,
    'pgnetd_host_requests_queued{host="127.0.0.1"}': 3,
    'pgnetd_host_requests_in_flight{host="127.0.0.1"}': 2,
  },
};

const throttled: Case = {
  name: "what waits for the global rate is in the age of the oldest due, and explained",
  env: { PGNETD_RATE_PER_SECOND: "0.02" },
  act: ({ db, receiver }) => db.query("select net.http_get($1) from generate_series(1, 4)", [receiver.url()]),
  expected: {
    [queued("rate")]: (value) => value >= 3,
    'pgnetd_oldest_queued_seconds{waits_for="rate"}': some,
    pgnetd_oldest_due_seconds: some,
    pgnetd_requests_per_second_limit: 0.02,
  },
};

const hostRate: Case = {
  name: "what waits for the rate of its host",
  settings: "(host, rate_per_second) values ('127.0.0.1', 0.02)",
  act: ({ db, receiver }) => db.query("select net.http_get($1) from generate_series(1, 4)", [receiver.url()]),
  expected: { [queued("host_rate")]: (value) => value >= 3, pgnetd_oldest_due_seconds: some },
};

const paused: Case = {
  name: "what waits for a paused host is in the age of the oldest due",
  settings: "(host, paused) values ('127.0.0.1', true)",
  act: ({ db, receiver }) => db.query("select net.http_get($1) from generate_series(1, 4)", [receiver.url()]),
  expected: {
    pgnetd_hosts_paused: 1,
    pgnetd_lanes_paused: 1,
    pgnetd_outbox_rows: 4,
    pgnetd_requests_started_total: 0,
    pgnetd_oldest_due_seconds: some,
  },
};

const deferred: Case = {
  name: "a delayed request is deferred, and not due",
  act: ({ db, receiver }) => db.query("select net.http_request('GET', $1, delay := '1 hour')", [receiver.url()]),
  expected: { pgnetd_deferred_rows: 1, pgnetd_outbox_rows: 1, pgnetd_oldest_due_seconds: 0, pgnetd_memory_requests: 0 },
};

const unwritable: Case = {
  name: "results that cannot be written",
  act: async ({ db, receiver }) => {
    await db.query("alter table net._http_response add constraint refused check (id < 0) not valid");
    await db.query("alter table net.http_response_detail rename to away");
    await send(receiver.url())({ db, receiver } as World);
  },
  expected: { pgnetd_results_writable: 0, pgnetd_results_unwritten: 1, pgnetd_answer_memory_bytes: some },
};

const unread: Case = {
  name: "an outbox that cannot be read",
  act: async ({ db }) => {
    await db.query("alter table net.http_request_queue rename column options to choices");
    await db.query("select net.wake()");
  },
  expected: { pgnetd_outbox_readable: 0, pgnetd_ready: 0, pgnetd_leader: 1 },
};

const live: Case = {
  name: "a leader with a stream and nothing to do",
  env: { PGNETD_CONCURRENCY: "100", PGNETD_MEMORY_REQUESTS: "500", PGNETD_RATE_PER_SECOND: "unlimited" },
  act: async () => undefined,
  expected: {
    pgnetd_database_up: 1,
    pgnetd_database_read: 1,
    pgnetd_leader: 1,
    pgnetd_standby: 0,
    pgnetd_stream_up: 1,
    pgnetd_ready: 1,
    'pgnetd_phase{phase="live"}': 1,
    'pgnetd_phase{phase="polling"}': 0,
    pgnetd_server_heard_seconds: (value) => value < 60,
    'pgnetd_slot_health{health="ok"}': 1,
    pgnetd_slot_active: 1,
    pgnetd_slot_retained_bytes: (value) => value >= 0,
    pgnetd_slot_received_lag_bytes: (value) => value >= 0,
    pgnetd_slot_confirmed_lag_bytes: (value) => value >= 0,
    pgnetd_slot_safe_wal_bytes: Number.NaN,
    pgnetd_slot_seconds_to_limit: Number.NaN,
    pgnetd_every_lane_behind: 0,
    pgnetd_lanes_behind: 0,
    pgnetd_requests_in_flight_limit: 100,
    pgnetd_memory_requests_limit: 500,
    pgnetd_memory_bytes_limit: 64 * 1024 ** 2,
    pgnetd_answer_memory_bytes_limit: 64 * 1024 ** 2,
    pgnetd_requests_per_second_limit: Infinity,
    pgnetd_process_memory_expected_bytes: (value) => value > 100e6,
    pgnetd_outbox_rows: 0,
    pgnetd_oldest_due_seconds: 0,
    pgnetd_requests_in_flight: 0,
    pgnetd_results_writable: 1,
    pgnetd_outbox_readable: 1,
    pgnetd_heartbeats_sent_total: 1,
    pgnetd_heartbeat_round_trip_seconds_count: 1,
    pgnetd_heartbeat_pending_seconds: 0,
    'pgnetd_build_info{version="0.1.0"}': 1,
  },
};

const TRUNCATED = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort";

const CASES: readonly Case[] = [
  live,
  answered(200),
  answered(204),
  answered(404),
  answered(500),
  { ...answered(304), name: "an answer of 304, which is no redirect" },
  failed("connect", "http://127.0.0.9:9/"),
  failed("refused_address", "http://10.1.2.3/"),
  failed("dns", "http://no-such-name.invalid/"),
  behaving("timeout", { kind: "hang" }, 50),
  behaving("empty_reply", { kind: "close" }),
  behaving("bad_reply", { kind: "raw", bytes: TRUNCATED }),
  behaving("too_large", { kind: "answer", body: "x".repeat(2_000) }),
  behaving("redirects", { kind: "answer", status: 307, headers: { Location: "/" } }),
  {
    ...failed("tls", ""),
    act: ({ db, receiver }) => db.query("select net.http_get($1)", [receiver.url().replace("http:", "https:")]),
  },
  retried,
  cancelled,
  unreadable,
  hanging,
  throttled,
  hostRate,
  paused,
  deferred,
  unwritable,
  unread,
];

test.concurrent.for(CASES)("metrics show $name", async ({ env, settings, act, expected }) => {
  await using db = await testDatabase();
  if (settings !== undefined) await db.query(`insert into net.http_host_settings ${settings}`);
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, { PGNETD_GRACE_MS: "0", ...env });
  await act({ db, receiver, daemon });
  await eventually(async () => {
    const metrics = await scrape(daemon.address);
    const wrong = Object.entries(expected).filter(([series, wanted]) => {
      const value = metrics.value(series);
      return typeof wanted === "number" ? !Object.is(value, wanted) : !wanted(value);
    });
    expect(wrong.map(([series, wanted]) => [series, metrics.value(series), String(wanted)])).toEqual([]);
    return true;
  }, 25_000);
});

test("counters go on where another daemon of the process takes over with other settings", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_get($1)", [receiver.url()]);
  await emptied(db);
  await db.query(`alter database ${db.name} set pg_net.batch_size = 17`);
  await db.query("select net.worker_restart()");
  await eventually(async () => (await scrape(daemon.address)).value("pgnetd_requests_per_second_limit") === 17, 25_000);
  await db.query("select net.http_get($1)", [receiver.url()]);
  await emptied(db);
  const settled = await eventually(async () => {
    const metrics = await scrape(daemon.address);
    return metrics.value("pgnetd_answer_to_stored_seconds_count") === 2 && metrics;
  });
  expect(settled.value(ended("2xx"))).toBe(2);
});
