import type { FailureCode } from "../http/outcome.ts";
import type { Phase } from "../dispatch/phase.ts";
import type { WaitsFor } from "../sending/host-scheduler.ts";
import type { SlotHealth } from "../slot/health.ts";

/** How one try ended: the class of its status, or why there was no answer. */
export type OutcomeClass = "1xx" | "2xx" | "3xx" | "4xx" | "5xx" | FailureCode;

/** The values of each label; null where they are names, and what bounds their number is said below. */
export const LABELS = {
  /** One value for each database that a process serves. */
  database: null,
  /** `metrics.hosts` names, and `other`. */
  host: null,
  /** One value in each version. */
  version: null,
  outcome: [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "timeout",
    "refused_address",
    "bad_request",
    "other_installation",
    "dns",
    "connect",
    "tls",
    "empty_reply",
    "bad_reply",
    "too_large",
    "no_memory",
    "redirects",
    "aborted",
    "shortage",
  ] satisfies readonly OutcomeClass[],
  waits_for: ["rate", "host_rate", "host_concurrency", "places", "answer_memory", "stalled"] satisfies readonly (
    | WaitsFor
    | "stalled"
  )[],
  phase: ["not-leading", "polling", "catch-up", "live", "stopping"] satisfies readonly Phase[],
  health: ["ok", "at_risk", "lost", "missing", "creating", "unknown"] satisfies readonly SlotHealth[],
  reason: ["wal_removed", "rows_removed", "wal_level_insufficient", "idle_timeout"],
} as const;

/** A label beside `database`, which every metric has. */
export type LabelName = Exclude<keyof typeof LABELS, "database">;

/** Everything that is said of one metric anywhere. */
export interface MetricDefinition {
  readonly name: `pgnetd_${string}`;
  readonly type: "counter" | "gauge" | "histogram";
  /** What it counts or shows, in one sentence; the unit is in the name. */
  readonly help: string;
  readonly label?: LabelName | readonly LabelName[];
  /** Upper bounds of a histogram, in seconds. */
  readonly buckets?: readonly number[];
}

const LATENCY = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600] as const;
const ANSWER = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;
const STORED = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60] as const;

/** What each section of `docs/metrics.md` is about. */
export const SECTIONS = {
  requests: "Tries of requests, as this process sent them. Counters begin at 0 with the process.",
  hosts:
    "The same by destination host, of the busiest hosts alone (`metrics.hosts`, 20 unless set), and of all others together as `other`. Which these are is decided each minute, by what started since. At most one host in a minute is replaced, by one with at least ten starts in it and twice as many as the other had on average. A host that comes in begins at 0, and what one that falls out ends from then on is counted in `other`. So no try is counted twice, and rates can be added up over hosts; the counters themselves cannot, since those of a host that falls out disappear: the total is `pgnetd_requests_ended_total`.",
  queue: "What waits, and the limits beside it.",
  state: "What the daemon does.",
  slot: "The replication slot, and the write-ahead log that it makes the server keep. All positions are those of the server that is read.",
  heartbeat:
    "While `/metrics` is scraped, or somebody watches [the page](page.md), the leader writes a logical message into the WAL, and measures how long it takes to come back by the stream: at a scrape, at most every ten seconds, and at most every five minutes where no request was received or sent since the last. Each is one transaction of 160 bytes of WAL, with its flush and its transaction id, and waits for no synchronous standby: without requests, 46 kB a day; where `archive_timeout` is set it is also what makes the server archive a segment each time. `metrics.heartbeat` turns it off.",
} as const;

/** All metrics by section. The only place that names them. */
export const CATALOGUE = {
  requests: {
    started: { name: "pgnetd_requests_started_total", type: "counter", help: "Tries that started." },
    ended: {
      name: "pgnetd_requests_ended_total",
      type: "counter",
      help: "Tries that ended, by the class of the status or the reason for none; a row that cannot be sent ends as bad_request without a start, and one of another installation as other_installation.",
      label: "outcome",
    },
    retried: {
      name: "pgnetd_requests_retried_total",
      type: "counter",
      help: "Tries after which another one was planned.",
    },
    dead: {
      name: "pgnetd_requests_dead_total",
      type: "counter",
      help: "Requests whose tries were used up, or that another installation made: they are in net.http_dead_letter.",
    },
    cancelled: {
      name: "pgnetd_requests_cancelled_total",
      type: "counter",
      help: "Requests whose row its owner had deleted before their result was to be stored. Those deleted before they were read are not seen.",
    },
    commitToStart: {
      name: "pgnetd_commit_to_start_seconds",
      type: "histogram",
      help: "From the commit, or from when a retry or a delayed request was due, to the start; waiting for rates and pauses included. Of rows that a sweep read, from the beginning of their transaction.",
      buckets: LATENCY,
    },
    startToAnswer: {
      name: "pgnetd_start_to_answer_seconds",
      type: "histogram",
      help: "From the start of a try to its end, with an answer or without.",
      buckets: ANSWER,
    },
    answerToStored: {
      name: "pgnetd_answer_to_stored_seconds",
      type: "histogram",
      help: "From the end of a try to the commit of what it came to.",
      buckets: STORED,
    },
  },
  hosts: {
    hostEnded: {
      name: "pgnetd_host_requests_ended_total",
      type: "counter",
      help: "Tries that ended, by host and outcome.",
      label: ["host", "outcome"],
    },
    hostSeconds: {
      name: "pgnetd_host_request_seconds_total",
      type: "counter",
      help: "Time from start to end of the tries that ended; divided by their number it is the mean.",
      label: "host",
    },
    hostQueued: {
      name: "pgnetd_host_requests_queued",
      type: "gauge",
      help: "Requests in memory that have not started.",
      label: "host",
    },
    hostInFlight: {
      name: "pgnetd_host_requests_in_flight",
      type: "gauge",
      help: "Requests that have started and not ended.",
      label: "host",
    },
  },
  queue: {
    outboxRows: {
      name: "pgnetd_outbox_rows",
      type: "gauge",
      help: "Requests in the outbox, in flight and deferred ones included: counted up to 1,000, beyond that as PostgreSQL estimates it.",
    },
    deferredRows: {
      name: "pgnetd_deferred_rows",
      type: "gauge",
      help: "Requests in the outbox that wait for a later time, a retry or a delay: counted up to 1,000, beyond that as PostgreSQL estimates it.",
    },
    oldestDue: {
      name: "pgnetd_oldest_due_seconds",
      type: "gauge",
      help: "Age of the oldest request that is due and has no result, whether it waits for a rate, a paused host or anything else, or is in flight; 0 without any. Of the 1,000 lowest ids, the first of 100 lanes, what is deferred, and what is queued in memory.",
    },
    deadLetters: {
      name: "pgnetd_dead_letters",
      type: "gauge",
      help: "Rows of net.http_dead_letter: counted up to 1,000, beyond that as PostgreSQL estimates it.",
    },
    queued: {
      name: "pgnetd_requests_queued",
      type: "gauge",
      help: "Requests in memory that have not started, by what their host waits for: the global rate, its own rate or concurrency, places in flight (http.concurrency), memory for answers; or all, while no request may start.",
      label: "waits_for",
    },
    oldestQueued: {
      name: "pgnetd_oldest_queued_seconds",
      type: "gauge",
      help: "Age of the oldest of these since its commit, or since it was due.",
      label: "waits_for",
    },
    lanesPaused: {
      name: "pgnetd_lanes_paused",
      type: "gauge",
      help: "Lanes whose requests are left to the outbox since their host is paused, as far as they were met.",
    },
    hostsPaused: { name: "pgnetd_hosts_paused", type: "gauge", help: "Hosts that net.http_host_settings pauses." },
    lanesBehind: {
      name: "pgnetd_lanes_behind",
      type: "gauge",
      help: "Lanes of which the outbox may have requests that are not in memory; while every lane is, see pgnetd_every_lane_behind.",
    },
    everyLaneBehind: {
      name: "pgnetd_every_lane_behind",
      type: "gauge",
      help: "1 from when this daemon leads, or after a cut, until it has read the outbox once; 0 where it does not lead.",
    },
    inFlight: {
      name: "pgnetd_requests_in_flight",
      type: "gauge",
      help: "Requests that have started and not ended.",
    },
    inFlightLimit: { name: "pgnetd_requests_in_flight_limit", type: "gauge", help: "http.concurrency." },
    unwritten: {
      name: "pgnetd_results_unwritten",
      type: "gauge",
      help: "Requests that have ended and whose result is not stored yet.",
    },
    memoryRequests: {
      name: "pgnetd_memory_requests",
      type: "gauge",
      help: "Requests in memory, from their reading until their result is stored.",
    },
    memoryRequestsLimit: { name: "pgnetd_memory_requests_limit", type: "gauge", help: "outbox.memoryRequests." },
    memoryBytes: { name: "pgnetd_memory_bytes", type: "gauge", help: "What these requests take." },
    memoryBytesLimit: { name: "pgnetd_memory_bytes_limit", type: "gauge", help: "outbox.memoryBytes." },
    answerBytes: {
      name: "pgnetd_answer_memory_bytes",
      type: "gauge",
      help: "What answers take, from their first byte until they are stored.",
    },
    answerBytesLimit: { name: "pgnetd_answer_memory_bytes_limit", type: "gauge", help: "results.memoryBytes." },
    rateLimit: {
      name: "pgnetd_requests_per_second_limit",
      type: "gauge",
      help: "rate.perSecond; +Inf where it is unlimited.",
    },
  },
  state: {
    databaseUp: {
      name: "pgnetd_database_up",
      type: "gauge",
      help: "1 where the database answers: it was read for this scrape, or the leader heard it within five seconds, or it answers a plain statement.",
    },
    databaseRead: {
      name: "pgnetd_database_read",
      type: "gauge",
      help: "1 where the database was read for this scrape; 0 where that failed or took longer than two seconds: what is read from it is left out. 0 as well while a daemon that starts waits for the schema: then the slot is read alone.",
    },
    leader: { name: "pgnetd_leader", type: "gauge", help: "1 where this daemon leads." },
    standby: {
      name: "pgnetd_standby",
      type: "gauge",
      help: "1 where this daemon waits since another session has the leader's lock.",
    },
    streamUp: { name: "pgnetd_stream_up", type: "gauge", help: "1 where this daemon leads and has a stream." },
    phase: { name: "pgnetd_phase", type: "gauge", help: "1 for the phase the daemon is in.", label: "phase" },
    ready: { name: "pgnetd_ready", type: "gauge", help: "1 where /readyz answers 200." },
    heardSeconds: {
      name: "pgnetd_server_heard_seconds",
      type: "gauge",
      help: "Time since the server was last heard by the session that leads; missing where this daemon does not lead.",
    },
    writable: {
      name: "pgnetd_results_writable",
      type: "gauge",
      help: "0 from a failed write of results until one succeeds again; no request starts meanwhile.",
    },
    readable: {
      name: "pgnetd_outbox_readable",
      type: "gauge",
      help: "0 where this daemon leads and could not read the outbox three times in a row or more.",
    },
    expectedMemory: {
      name: "pgnetd_process_memory_expected_bytes",
      type: "gauge",
      help: "What the process should take at most by its settings: 200 MB, twice outbox.memoryBytes and twice results.memoryBytes; or the container's limit where that is lower.",
    },
    memoryLimit: {
      name: "pgnetd_process_memory_limit_bytes",
      type: "gauge",
      help: "What the container may have; absent without a limit.",
    },
    build: { name: "pgnetd_build_info", type: "gauge", help: "1, with the version of pgnetd.", label: "version" },
  },
  slot: {
    health: {
      name: "pgnetd_slot_health",
      type: "gauge",
      help: "1 for the health that the slot has; unknown where the database could not be read.",
      label: "health",
    },
    slotActive: { name: "pgnetd_slot_active", type: "gauge", help: "1 where a session reads the slot." },
    retained: {
      name: "pgnetd_slot_retained_bytes",
      type: "gauge",
      help: "Write-ahead log that the slot makes the server keep.",
    },
    receivedLag: {
      name: "pgnetd_slot_received_lag_bytes",
      type: "gauge",
      help: "From what this daemon has received to the end of the log.",
    },
    confirmedLag: {
      name: "pgnetd_slot_confirmed_lag_bytes",
      type: "gauge",
      help: "From what was confirmed to the slot to the end of the log.",
    },
    safe: {
      name: "pgnetd_slot_safe_wal_bytes",
      type: "gauge",
      help: "What may still be written before the slot is invalidated (safe_wal_size); absent without max_slot_wal_keep_size.",
    },
    secondsToLimit: {
      name: "pgnetd_slot_seconds_to_limit",
      type: "gauge",
      help: "When that is used up at the rate of the last minutes; +Inf where it does not shrink; absent without max_slot_wal_keep_size.",
    },
    inactiveSince: {
      name: "pgnetd_slot_inactive_since_timestamp_seconds",
      type: "gauge",
      help: "When the slot was last left, in seconds since 1970; absent while it is read, and before PostgreSQL 17.",
    },
    invalidated: {
      name: "pgnetd_slot_invalidated",
      type: "gauge",
      help: "1 for the reason for which the server has invalidated the slot (PostgreSQL 17 and newer).",
      label: "reason",
    },
    synced: {
      name: "pgnetd_slot_synced",
      type: "gauge",
      help: "1 where the slot was synchronised from a primary (PostgreSQL 17 and newer).",
    },
  },
  heartbeat: {
    sent: { name: "pgnetd_heartbeats_sent_total", type: "counter", help: "Heartbeats that were written." },
    roundTrip: {
      name: "pgnetd_heartbeat_round_trip_seconds",
      type: "histogram",
      help: "From the statement that writes a heartbeat to its arrival by the stream.",
      buckets: LATENCY,
    },
    pending: {
      name: "pgnetd_heartbeat_pending_seconds",
      type: "gauge",
      help: "Age of the oldest heartbeat that has not come back; 0 without any.",
    },
  },
} as const satisfies Record<keyof typeof SECTIONS, Record<string, MetricDefinition>>;
