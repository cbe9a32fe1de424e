import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { answerMemory } from "../../src/config/answer-memory.ts";
import { describeConfig } from "../../src/config/describe.ts";
import { type ConfigInput, loadConfig, readConfig } from "../../src/config/load.ts";
import { redact } from "../../src/config/redact.ts";

const URL_OF_APP = "postgres://app:hunter2@db:5432/app";
const folder = mkdtempSync(join(tmpdir(), "pgnetd-config-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

function file(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

function refusal(input: ConfigInput): PgnetdError {
  try {
    loadConfig(input);
  } catch (error) {
    if (error instanceof PgnetdError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

it("needs nothing but the database", () => {
  expect(loadConfig({ env: { DATABASE_URL: URL_OF_APP } })).toEqual({
    database: { url: URL_OF_APP, environment: null, poolSize: 4, statementTimeoutMs: 30_000 },
    slot: {
      name: null,
      plugin: "pgoutput",
      temporary: false,
      failover: false,
      senderTimeoutMs: 4000,
      fenceMs: 2500,
    },
    rate: { perSecond: 200 },
    http: {
      mode: "send",
      concurrency: 256,
      hostConcurrency: 64,
      allowNetworks: [],
      maxResponseBytes: 10 * 1024 ** 2,
      maxTimeoutMs: 600_000,
      maxRedirects: 5,
      idempotencyKey: true,
    },
    outbox: { memoryRequests: 10_000, memoryBytes: 64 * 1024 ** 2 },
    results: { memoryBytes: null, ttlSeconds: 21_600, deadLetterTtlSeconds: "never" },
    server: { host: "127.0.0.1", port: 9464 },
    page: { enabled: true, urls: "host", hosts: [], open: false, readToken: null, token: null },
    metrics: { heartbeat: true, hosts: 20 },
    log: { level: "info" },
    stop: { graceMs: 10_000 },
    migrate: { atStart: false },
  });
});

it("takes the environment over the file over the default, and says which", () => {
  const path = file("rate:\n  perSecond: 50\nserver:\n  port: 1000\ndatabase:\n  poolSize:\nlog:\n");
  const { config, sources } = readConfig({ env: { DATABASE_URL: URL_OF_APP, PGNETD_PORT: "2000" }, file: path });
  expect([config.rate.perSecond, config.server.port, config.database.poolSize]).toEqual([50, 2000, 4]);
  expect(["rate.perSecond", "server.port", "database.poolSize"].map((key) => sources.get(key))).toEqual([
    "file",
    "environment",
    "default",
  ]);
});

it("finds the file by PGNETD_CONFIG, and by the argument first", () => {
  const env = { DATABASE_URL: URL_OF_APP, PGNETD_CONFIG: file("server: { port: 1 }") };
  expect(loadConfig({ env }).server.port).toBe(1);
  expect(loadConfig({ env, file: file("server: { port: 2 }") }).server.port).toBe(2);
});

it("lists every problem at once, with setting, value and rule", () => {
  const path = file("rate:\n  perSecond: fast\nhtttp:\n  concurrency: 1\nhttp:\n  concurency: 1\nstop: soon\n");
  const error = refusal({ env: { PGNETD_POOL_SIZE: "many", PGNETD_RATE: "5" }, file: path });
  expect(error.code).toBe("CONFIG_INVALID");
  expect(error.exitCode).toBe(78);
  expect(error.message.replaceAll(path, "FILE")).toBe(
    [
      "7 problems in the configuration:",
      "PGNETD_RATE is not a setting; did you mean PGNETD_RATE_PER_SECOND?",
      "FILE: htttp is not a section; did you mean http?",
      "FILE: http.concurency is not a setting; did you mean http.concurrency?",
      "FILE: stop must be a section with settings below it",
      "database.url (DATABASE_URL) is required; it must be a URL such as postgres://host:5432/database, with user and password percent-encoded where they need it",
      'database.poolSize (PGNETD_POOL_SIZE) is "many": must be a whole number from 1 to 100',
      'rate.perSecond (PGNETD_RATE_PER_SECOND) is "fast": must be a number above 0 and up to 100000, or unlimited',
    ].join("\n  - "),
  );
});

it("refuses a fence that is not clearly shorter than the sender's timeout, naming both", () => {
  const env = { DATABASE_URL: URL_OF_APP, PGNETD_SENDER_TIMEOUT_MS: "4000" };
  expect(loadConfig({ env: { ...env, PGNETD_FENCE_MS: "3000" } }).slot.fenceMs).toBe(3000);
  const { message } = refusal({ env: { ...env, PGNETD_FENCE_MS: "3001" } });
  expect(message).toBe(
    "slot.fenceMs (PGNETD_FENCE_MS) is 3001: must be at most three quarters of slot.senderTimeoutMs (PGNETD_SENDER_TIMEOUT_MS), which is 4000",
  );
});

it("refuses memory for answers that is less than four of the largest and what is in flight, naming all three", () => {
  const env = { DATABASE_URL: URL_OF_APP, PGNETD_MAX_RESPONSE_BYTES: "1MiB", PGNETD_CONCURRENCY: "64" };
  const config = loadConfig({ env: { ...env, PGNETD_ANSWER_MEMORY_BYTES: "5MiB" } });
  expect([config.results.memoryBytes, answerMemory(config)]).toEqual([5 * 1024 ** 2, 5 * 1024 ** 2]);
  const { message } = refusal({ env: { ...env, PGNETD_ANSWER_MEMORY_BYTES: "4MiB" } });
  expect(message).toBe(
    "results.memoryBytes (PGNETD_ANSWER_MEMORY_BYTES) is 4194304: must be at least 5242880, four times http.maxResponseBytes (PGNETD_MAX_RESPONSE_BYTES), which is 1048576, and 16KiB for each of http.concurrency (PGNETD_CONCURRENCY), which is 64",
  );
});

it.each([
  ["unless one answer may be large", {}, 64],
  ["more where it may", { PGNETD_MAX_RESPONSE_BYTES: "100MiB" }, 404],
  ["more where many are in flight", { PGNETD_CONCURRENCY: "10000" }, 40 + 10_000 / 64],
])("has 64 MiB of memory for answers, %s", (_what, env, mib) => {
  expect(answerMemory(loadConfig({ env: { DATABASE_URL: URL_OF_APP, ...env } }))).toBe(mib * 1024 ** 2);
});

it.each([
  ["a missing file", join(folder, "absent.yaml"), /cannot be read: ENOENT/],
  ["text that is not YAML", file("rate: [1"), /yaml: .*line 1/],
  ["a key given twice", file("rate:\n  perSecond: 1\n  perSecond: 2\n"), /duplicate key at line 3, column 3/],
  ["an alias to nothing", file("rate: *SECRET"), /an alias that is not defined/],
  ["a list", file("- rate"), /must hold sections/],
])("refuses %s", (_name, path, rule) => {
  expect(refusal({ env: { DATABASE_URL: URL_OF_APP }, file: path }).message).toMatch(rule);
});

it("takes an empty file and empty variables as nothing set", () => {
  const env = { DATABASE_URL: URL_OF_APP, PGNETD_PORT: "", PGNETD_CONFIG: " " };
  expect(loadConfig({ env, file: file("# nothing\n") })).toEqual(loadConfig({ env: { DATABASE_URL: URL_OF_APP } }));
});

it("is not misled by what Kubernetes sets for a service called pgnetd", () => {
  const env = {
    DATABASE_URL: URL_OF_APP,
    PGNETD_SERVICE_HOST: "10.96.0.7",
    PGNETD_SERVICE_PORT: "9464",
    PGNETD_SERVICE_PORT_HTTP: "9464",
    PGNETD_PORT: "tcp://10.96.0.7:9464",
    PGNETD_PORT_9464_TCP: "tcp://10.96.0.7:9464",
    PGNETD_PORT_9464_TCP_PROTO: "tcp",
    PGNETD_PORT_9464_TCP_PORT: "9464",
    PGNETD_PORT_9464_TCP_ADDR: "10.96.0.7",
  };
  expect(loadConfig({ env }).server.port).toBe(9464);
  expect(refusal({ env: { ...env, PGNETD_SERVICE: "x" } }).message).toContain("PGNETD_SERVICE is not a setting");
});

it.each([
  ["postgres://app:hunter2@db/app#x", "a # in it is to be %23"],
  ["postgres://app:hunter2/3@db/app", "its host or port cannot be read"],
  ["postgres://app:12/hunter2@db/app", "an @ behind the host is to be %40"],
  ["postgres://app:hunter2%@db/app", "a % in it is to be %25"],
  ["mysql://app:hunter2@db/app", "it does not begin with postgres://"],
  ["app:hunter2@db/app", "it does not begin with postgres://"],
  ["jdbc:postgresql://db/app?user=app;password=hunter2", "it does not begin with postgres://"],
  ["host=db user=app password=hunter2", "it does not begin with postgres://"],
  ["hunter2", "it does not begin with postgres://"],
])("P11: says what is wrong with %s and shows nothing of it", (url, problem) => {
  const { message } = refusal({ env: { DATABASE_URL: url } });
  expect(message).toMatch(/^database\.url \(DATABASE_URL\) must be a URL such as /);
  expect(message).toContain(`; ${problem}`);
  expect(message).not.toContain("hunter2");
});

it.each([
  ["postgres://app:hunter2@db:5432/app?sslpassword=hunter2", "postgres://app:***@db:5432/app?sslpassword=***"],
  ["postgres://db/app?pass%77ord=hunter2&sslmode=require", "postgres://db/app?password=***&sslmode=require"],
  ["postgres://db/app?options=-c%20password%3Dhunter2", "postgres://db/app?options=***"],
  ["postgres://db/app?hunter2", "postgres://db/app?***"],
  ["postgres://app@hunter2@db/a%20hunter2", "postgres://***@db***"],
  ["postgres:///app?host=/run/postgresql&user=app", "postgres:///app?host=/run/postgresql&user=app"],
])("P11: shows of %s only what is known to be no secret", (url, shown) => {
  const { config, sources } = readConfig({ env: { DATABASE_URL: url } });
  expect(describeConfig({ config, sources })).toContain(`  url: ${shown} `);
});

it("P11: quotes a wrong value only where it is too plain to be a secret", () => {
  const messageFor = (port: string): string =>
    refusal({ env: { DATABASE_URL: URL_OF_APP, PGNETD_PORT: port } }).message;
  for (const plain of ["70000", "-1", "http", "5 MiB", "10.0.0.1"])
    expect(messageFor(plain)).toContain(`is "${plain}"`);
  for (const odd of ["app:hunter2@db", "hunter2", "password=x", "postgres://db"])
    expect(messageFor(odd)).toContain('is "***"');
});

it("P11: describes what is in effect without the password, with the source of each", () => {
  const env = { DATABASE_URL: `${URL_OF_APP}?sslpassword=hunter2&sslmode=require`, PGNETD_TTL: "1 hour" };
  const lines = describeConfig(readConfig({ env, file: file("server: { port: 7 }") })).split(/\n/);
  expect(lines.map((line) => line.trim().replace(/ +/g, " "))).toEqual(
    expect.arrayContaining([
      "url: postgres://app:***@db:5432/app?sslpassword=***&sslmode=require # DATABASE_URL",
      "ttlSeconds: 3600 # PGNETD_TTL",
      "port: 7 # file",
      "poolSize: 4 # default",
    ]),
  );
  expect(lines.join("\n")).not.toContain("hunter2");
});

it.each([
  ["token", "PGNETD_PAGE_TOKEN"],
  ["readToken", "PGNETD_PAGE_READ_TOKEN"],
] as const)("P11: shows nothing of page.%s, whether it can be used or not", (name, env) => {
  const loaded = readConfig({ env: { DATABASE_URL: URL_OF_APP, [env]: "correct-horse-battery" } });
  expect(loaded.config.page[name]).toBe("correct-horse-battery");
  expect(describeConfig(loaded)).toMatch(new RegExp(`${name}: \\*\\*\\* +# ${env}`));
  expect(describeConfig(loaded)).not.toContain("horse");
  expect(redact("it is correct-horse-battery")).not.toContain("horse");
  expect(describeConfig(readConfig({ env: { DATABASE_URL: URL_OF_APP } }))).toMatch(
    new RegExp(`${name}: null +# default`),
  );
  const short = refusal({ env: { DATABASE_URL: URL_OF_APP, [env]: "short-secret" } });
  expect(short.message).toContain(`page.${name} (${env}) must be 16 to 200 printable ASCII characters`);
  expect(short.message).not.toContain("short-secret");
});
