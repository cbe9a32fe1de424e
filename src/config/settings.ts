import { showDatabaseUrl } from "./database-url.ts";
import { MASK } from "./redact.ts";
import {
  bytes,
  databaseUrl,
  derived,
  environmentName,
  flag,
  host,
  hostNames,
  integer,
  type Kind,
  lifetime,
  networks,
  oneOf,
  pageToken,
  rate,
  slotName,
} from "./values.ts";

/** One setting: everything that is said about it anywhere. */
export interface Setting<T> {
  /** Name of the environment variable, which wins over the file. */
  readonly env: string;
  readonly kind: Kind<T>;
  /** As it would be written in the file; absent where the setting is required. */
  readonly fallback?: string | number | boolean | null | readonly [];
  /** What applies where nothing is set and `fallback` alone does not say it. */
  readonly fallbackNote?: string;
  /** What it does, with its unit; in Markdown. */
  readonly about: string;
  /** Where the value must not be shown: what is shown in its place. */
  readonly masked?: (value: T) => string;
}

/** Starts per second at most: a window of so many is held for each rate (P5). */
export const MOST_PER_SECOND = 100_000;
/** The longest lifetime beside `never`: PostgreSQL's times do not reach much further back. */
export const LONGEST_SECONDS: number = 36_500 * 86_400;

function maskedToken(token: string | null): string {
  return token === null ? "null" : MASK;
}

function setting<T>(of: Setting<T>): Setting<T> {
  return of;
}

/** What each section of the file is about. */
export const SECTIONS = {
  database: "The database whose outbox is served.",
  slot: "The replication slot and its session.",
  rate: "How fast requests start.",
  http: "How requests are sent, and where to.",
  outbox: "How much of the outbox is held in memory.",
  results: "What happens to the answers.",
  server: "Where health, metrics and the page are served.",
  page: "The page for operators, at `/` of the same port. More in docs/page.md.",
  metrics: "What is shown at `/metrics`.",
  log: "What is written to standard output.",
  stop: "How the daemon ends.",
  migrate: "Installing and upgrading the schema.",
} as const;

/** All settings, by section and name as they stand in the file. The only place that knows them. */
export const SETTINGS = {
  database: {
    url: setting({
      env: "DATABASE_URL",
      kind: databaseUrl(),
      masked: showDatabaseUrl,
      about:
        "Connection URL of the database. The role needs `REPLICATION`, or what the provider has in its place (`rds_replication` and its like).",
    }),
    environment: setting({
      env: "PGNETD_ENVIRONMENT",
      kind: environmentName(),
      fallback: null,
      fallbackNote: "none",
      about:
        "Name of the environment whose database this is, such as `production`. `pgnetd migrate` records it in the database; a daemon with another one, or with none, sends nothing there: so a copy of a database does no harm.",
    }),
    poolSize: setting({
      env: "PGNETD_POOL_SIZE",
      kind: integer(1, 100),
      fallback: 4,
      about: "Most connections for SQL; the replication session is one more.",
    }),
    statementTimeoutMs: setting({
      env: "PGNETD_STATEMENT_TIMEOUT_MS",
      kind: integer(1000, 600_000),
      fallback: 30_000,
      about:
        "A statement that has no answer by then is given up with its connection, and tried again, in milliseconds: how soon a silent network is noticed on these connections.",
    }),
  },
  slot: {
    name: setting({
      env: "PGNETD_SLOT_NAME",
      kind: slotName(),
      fallback: null,
      fallbackNote: "`pgnetd_` and the database's name",
      about: "Name of the replication slot, unique in the whole server.",
    }),
    plugin: setting({
      env: "PGNETD_SLOT_PLUGIN",
      kind: oneOf(["pgoutput", "wal2json"]),
      fallback: "pgoutput",
      about:
        "Output plugin of the slot. `pgoutput` is part of PostgreSQL; `wal2json` must be installed on the server, and named in its `output_plugin_libraries` where it has that setting.",
    }),
    temporary: setting({
      env: "PGNETD_SLOT_TEMPORARY",
      kind: flag(),
      fallback: false,
      about:
        "Make the slot temporary: it goes with the connection and never holds WAL while the daemon is away. Nothing is lost: every start reads the outbox.",
    }),
    failover: setting({
      env: "PGNETD_SLOT_FAILOVER",
      kind: flag(),
      fallback: false,
      about: "Ask for the slot to be synchronised to standbys (PostgreSQL 17 and newer).",
    }),
    senderTimeoutMs: setting({
      env: "PGNETD_SENDER_TIMEOUT_MS",
      kind: integer(1000, 600_000),
      fallback: 4000,
      about:
        "`wal_sender_timeout` of the replication session, in milliseconds: how long after the leader fell silent another may take over.",
    }),
    fenceMs: setting({
      env: "PGNETD_FENCE_MS",
      kind: integer(100, 450_000),
      fallback: 2500,
      about:
        "The leader starts no request once it has heard nothing from the server for this long, in milliseconds. At most three quarters of `slot.senderTimeoutMs`.",
    }),
  },
  rate: {
    perSecond: setting({
      env: "PGNETD_RATE_PER_SECOND",
      kind: rate(MOST_PER_SECOND),
      fallback: 200,
      about: "Most requests started in any second, spread evenly inside it; `unlimited` holds nothing back.",
    }),
  },
  http: {
    mode: setting({
      env: "PGNETD_HTTP_MODE",
      kind: oneOf(["send", "capture"]),
      fallback: "send",
      about:
        "`capture` sends nothing, and looks up no name: each request is answered with status 200 and itself, as JSON with `method`, `url`, `headers` and `body`. For development and tests; header values are recorded as they are.",
    }),
    concurrency: setting({
      env: "PGNETD_CONCURRENCY",
      kind: integer(1, 10_000),
      fallback: 256,
      about:
        "Most requests in flight at once. While all places are taken and a host without any waits for one, requests end once they have been in flight for 20 seconds, however long their timeout.",
    }),
    hostConcurrency: setting({
      env: "PGNETD_HOST_CONCURRENCY",
      kind: integer(1, 10_000),
      fallback: 64,
      about: "Most requests in flight at once to one host, so that a slow one delays nobody else.",
    }),
    allowNetworks: setting({
      env: "PGNETD_ALLOW_NETWORKS",
      kind: networks(),
      fallback: [],
      about:
        "Networks and addresses that requests may reach beyond the public internet. Private, loopback, link-local and metadata addresses are refused unless named here. `private` stands for 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7; loopback (127.0.0.0/8, ::1), link-local and shared addresses (100.64.0.0/10) are not in it. A metadata service, such as 169.254.169.254, is allowed by its own address alone, by no network around it.",
    }),
    maxResponseBytes: setting({
      env: "PGNETD_MAX_RESPONSE_BYTES",
      kind: bytes(1024, 512 * 1024 ** 2),
      fallback: "10MiB",
      about: "Largest body of an answer; a larger one ends the request with an error.",
    }),
    maxTimeoutMs: setting({
      env: "PGNETD_MAX_TIMEOUT_MS",
      kind: integer(100, 86_400_000),
      fallback: 600_000,
      about:
        "Longest time for one request in milliseconds, also where it asks for more or for no limit (a timeout of 0): hosts that never answer have places in flight no longer.",
    }),
    maxRedirects: setting({
      env: "PGNETD_MAX_REDIRECTS",
      kind: integer(0, 20),
      fallback: 5,
      about: "Redirects followed for one request.",
    }),
    idempotencyKey: setting({
      env: "PGNETD_IDEMPOTENCY_KEY",
      kind: flag(),
      fallback: true,
      about: "Send an `Idempotency-Key` header, the same on every repeat of a request, where the caller set none.",
    }),
  },
  outbox: {
    memoryRequests: setting({
      env: "PGNETD_MEMORY_REQUESTS",
      kind: integer(10, 10_000_000),
      fallback: 10_000,
      about: "Most requests held in memory; what does not fit waits in the table.",
    }),
    memoryBytes: setting({
      env: "PGNETD_MEMORY_BYTES",
      kind: bytes(1024 ** 2, 64 * 1024 ** 3),
      fallback: "64MiB",
      about: "Most bytes of requests held in memory; what does not fit waits in the table.",
    }),
  },
  results: {
    memoryBytes: setting({
      env: "PGNETD_ANSWER_MEMORY_BYTES",
      kind: derived(bytes(1024 ** 2, 64 * 1024 ** 3)),
      fallback: null,
      fallbackNote:
        "64MiB, or four times `http.maxResponseBytes` and 16KiB for each of `http.concurrency` where that is more",
      about:
        "Most bytes of answers held in memory, from the first byte received until they are stored; what does not fit is received later. Shared out by destination: one whose answers fill its share waits, others do not.",
    }),
    ttlSeconds: setting({
      env: "PGNETD_TTL",
      kind: lifetime(LONGEST_SECONDS),
      fallback: "6 hours",
      about:
        "How long an answer stays in `net._http_response`; a bare number counts seconds. `never` keeps answers until you delete them; 0 is refused, as it would drop them before they are read.",
    }),
    deadLetterTtlSeconds: setting({
      env: "PGNETD_DEAD_LETTER_TTL",
      kind: lifetime(LONGEST_SECONDS),
      fallback: "never",
      about:
        "How long a request that used up its tries stays in `net.http_dead_letter`, from its end; a bare number counts seconds. `never` keeps it until you replay or delete it.",
    }),
  },
  server: {
    host: setting({
      env: "PGNETD_HOST",
      kind: host(),
      fallback: "127.0.0.1",
      about: "Address to listen on for `/healthz`, `/readyz`, `/metrics` and the page. The image sets `0.0.0.0`.",
    }),
    port: setting({
      env: "PGNETD_PORT",
      kind: integer(0, 65_535),
      fallback: 9464,
      about: "Port to listen on; 0 takes any free one.",
    }),
  },
  page: {
    enabled: setting({
      env: "PGNETD_PAGE",
      kind: flag(),
      fallback: true,
      about: "Serve the page. It costs the database nothing while nobody has it open.",
    }),
    urls: setting({
      env: "PGNETD_PAGE_URLS",
      kind: oneOf(["host", "path"]),
      fallback: "host",
      about:
        "What the page shows of a url: scheme and host, or its path as well. Paths may hold tokens, as those of many webhooks do. User, password, query and fragment are never shown.",
    }),
    hosts: setting({
      env: "PGNETD_PAGE_HOSTS",
      kind: hostNames(),
      fallback: [],
      about:
        "Names under which the page may be opened, beside `localhost` and any address: such as that of an ingress. Under any other name it is refused, so that no site can read it by pointing a name of its own at this address.",
    }),
    open: setting({
      env: "PGNETD_PAGE_OPEN",
      kind: flag(),
      fallback: false,
      about:
        "Whether whoever reaches the port may read the page. Otherwise connections from the daemon's own machine (loopback) may, and who gives a token. Where `page.readToken` is set, it is always asked for.",
    }),
    readToken: setting<string | null>({
      env: "PGNETD_PAGE_READ_TOKEN",
      kind: pageToken(),
      fallback: null,
      fallbackNote: "none: no password is asked for on loopback",
      masked: maskedToken,
      about:
        "The password that a browser asks for before it shows the page, on loopback too; the user name is of no account. `page.token` is accepted in its place.",
    }),
    token: setting<string | null>({
      env: "PGNETD_PAGE_TOKEN",
      kind: pageToken(),
      fallback: null,
      fallbackNote: "none: no actions",
      masked: maskedToken,
      about:
        "Whoever enters it on the page may act: pause and resume hosts, cancel and replay requests, wake the daemon. Without it the page only shows.",
    }),
  },
  metrics: {
    heartbeat: setting({
      env: "PGNETD_METRICS_HEARTBEAT",
      kind: flag(),
      fallback: true,
      about:
        "At a scrape of `/metrics`, and while somebody watches the page, at most every ten seconds, and every five minutes where no request was received or sent, write a message of some 200 bytes into the WAL and measure how soon it comes back: proof that what is committed arrives. Without scrapes and watchers nothing is written.",
    }),
    hosts: setting({
      env: "PGNETD_METRICS_HOSTS",
      kind: integer(0, 500),
      fallback: 20,
      about: "Most hosts with numbers of their own, the busiest ones; all others are shown together, as `other`.",
    }),
  },
  log: {
    level: setting({
      env: "PGNETD_LOG_LEVEL",
      kind: oneOf(["debug", "info", "warn", "error"]),
      fallback: "info",
      about: "Least level that is written.",
    }),
  },
  stop: {
    graceMs: setting({
      env: "PGNETD_GRACE_MS",
      kind: integer(0, 3_600_000),
      fallback: 10_000,
      about:
        "How long requests in flight may finish after SIGTERM or Ctrl-C, in milliseconds. Those that do not are sent again at the next start.",
    }),
  },
  migrate: {
    atStart: setting({
      env: "PGNETD_MIGRATE",
      kind: flag(),
      fallback: false,
      about: "Install or upgrade the schema when `pgnetd run` starts.",
    }),
  },
} as const;

type Read<S> = S extends Setting<infer T> ? T : never;

/** The effective settings, parsed. Meaning, unit and default of each are in `SETTINGS`. */
export type Config = {
  readonly [S in keyof typeof SETTINGS]: {
    readonly [K in keyof (typeof SETTINGS)[S]]: Read<(typeof SETTINGS)[S][K]>;
  };
};

/** A setting of whatever type. */
type AnySetting = Omit<Setting<unknown>, "masked"> & { masked?(value: unknown): string };

/** A setting with its key in the file, such as `rate.perSecond`. */
export interface NamedSetting extends AnySetting {
  readonly section: keyof typeof SECTIONS;
  readonly name: string;
  readonly key: string;
}

/** `SETTINGS` as a list, in order. */
export const ALL_SETTINGS: readonly NamedSetting[] = Object.entries(SETTINGS).flatMap(([section, settings]) =>
  Object.entries<AnySetting>(settings).map(([name, one]) => ({
    ...one,
    section: section as keyof typeof SECTIONS,
    name,
    key: `${section}.${name}`,
  })),
);
