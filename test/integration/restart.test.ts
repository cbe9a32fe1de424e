import { expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { configFile } from "../support/config-file.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const QUEUE = "select count(net.http_post($1 || n)) from generate_series(1, $2::int) n";

async function answered(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ count: number }>("select count(*)::int from net._http_response");
  return row?.count ?? 0;
}

test("P2, P3: net.worker_restart() in the middle of a drain loses and repeats nothing, and reloads the settings", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 20 });
  await using file = await configFile("rate:\n  perSecond: 20\n");
  await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
  await daemon.live();
  await db.query(QUEUE, [receiver.url("/?n="), 600]);
  await receiver.waitFor(10);
  await file.write("rate:\n  perSecond: unlimited\n");
  expect(await db.query("select net.worker_restart() as asked")).toEqual([{ asked: true }]);

  await eventually(async () => (await answered(db)) === 600);
  expect(receiver.requests).toHaveLength(600);
  expect(receiver.countByPath().size).toBe(600);
  const lines = daemon.events().map((line) => JSON.stringify(line));
  expect(lines.filter((line) => line.includes('"restart"'))).toHaveLength(1);
  // At 20 per second what was left would have taken 27 seconds.
  const [first, last] = [receiver.requests.at(60)?.at ?? 0, receiver.requests.at(-1)?.at ?? 0];
  expect(last - first).toBeLessThan(13_000);
});

test("a setting that cannot be read at a restart leaves those before in force, and the log says why", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using file = await configFile("rate:\n  perSecond: 100\n");
  await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
  await daemon.live();
  await file.write("rate:\n  perSecond: fast\n");
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.log().includes("rate.perSecond"));
  await db.query(QUEUE, [receiver.url("/?n="), 5]);
  await eventually(async () => (await answered(db)) === 5);
  expect(receiver.requests).toHaveLength(5);
});

test("settings whose port cannot be had do not take over at a restart, and the log says why", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using file = await configFile("http:\n  mode: send\n");
  await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
  await daemon.live();
  // An address for documentation, which no machine has.
  await file.write("server:\n  host: 192.0.2.1\nhttp:\n  mode: capture\n");
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.log().includes("cannot listen on 192.0.2.1"));
  expect(daemon.log()).not.toContain("takes over");
  await db.query(QUEUE, [receiver.url("/?n="), 5]);
  await eventually(async () => (await answered(db)) === 5);
  expect(receiver.requests).toHaveLength(5);
  await daemon.ready();
});

test("settings with another port take over at a restart, and nothing listens at the one before", async () => {
  await using db = await testDatabase();
  const [one, other] = [await freePort(), await freePort()];
  const stateAt = async (port: number): Promise<unknown> =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      async (response) => ((await response.json()) as { readonly state: string }).state,
      () => null,
    );
  await using file = await configFile(`server:\n  port: ${one}\n`);
  const args = ["--config", file.path];
  // In the environment it would win.
  const env = { PGNETD_PORT: "" };
  await using _daemon = await startDaemon({ databaseUrl: db.url, args, env, waitUntilReady: false });
  await eventually(async () => (await stateAt(one)) === "live");
  await file.write(`server:\n  port: ${other}\n`);
  await db.query("select net.worker_restart()");
  await eventually(async () => (await stateAt(other)) === "live");
  expect(await stateAt(one)).toBeNull();
});

test("settings with another port that are refused at a restart leave the port before, and those before put back change nothing", async () => {
  await using db = await testDatabase();
  const [one, other] = [await freePort(), await freePort()];
  const stateAt = async (port: number): Promise<unknown> =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      async (response) => ((await response.json()) as { readonly state: string }).state,
      () => null,
    );
  const before = `server:\n  port: ${one}\n`;
  await using file = await configFile(before);
  const args = ["--config", file.path];
  const env = { PGNETD_PORT: "" };
  await using daemon = await startDaemon({ databaseUrl: db.url, args, env, waitUntilReady: false });
  await eventually(async () => (await stateAt(one)) === "live");
  await file.write(`server:\n  port: ${other}\ndatabase:\n  environment: staging\n`);
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.events().some(({ msg }) => String(msg).startsWith("no restart")));
  await eventually(async () => (await stateAt(one)) === "live" && (await stateAt(other)) === null);
  await file.write(before);
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.log().includes("restart: the settings are unchanged"));
  expect([await stateAt(one), await stateAt(other)]).toEqual([expect.any(String), null]);
});

test("another address with the same port takes over at a restart; one that cannot be had leaves the one before", async () => {
  await using db = await testDatabase();
  const port = await freePort();
  const stateAt = async (host: string): Promise<unknown> =>
    fetch(`http://${host}:${port}/readyz`).then(
      async (response) => ((await response.json()) as { readonly state: string }).state,
      () => null,
    );
  const at = (host: string): string => `server:\n  host: ${host}\n  port: ${port}\n`;
  await using file = await configFile(at("127.0.0.1"));
  const args = ["--config", file.path];
  const env = { PGNETD_HOST: "", PGNETD_PORT: "" };
  await using daemon = await startDaemon({ databaseUrl: db.url, args, env, waitUntilReady: false });
  await eventually(async () => (await stateAt("127.0.0.1")) === "live");
  await file.write(at("192.0.2.1"));
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.log().includes("cannot listen on 192.0.2.1"));
  await eventually(async () => (await stateAt("127.0.0.1")) === "live");
  expect(daemon.events().find(({ msg }) => String(msg).startsWith("no restart"))).toMatchObject({
    reason: expect.stringContaining("cannot listen on 192.0.2.1") as unknown,
    hint: expect.stringContaining("PGNETD_HOST") as unknown,
  });
  await file.write(at("0.0.0.0"));
  await db.query("select net.worker_restart()");
  await eventually(async () => (await stateAt("127.0.0.2")) === "live");
});

test("pg_net.ttl and pg_net.batch_size of the database are honoured at start and at a restart", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const expired = (): Promise<unknown> =>
    db.query("insert into net._http_response (id, created) values (-1, now() - interval '1 hour')");
  const isGone = async (): Promise<boolean> => (await answered(db)) === 0;
  await db.query(`alter database ${db.name} set pg_net.ttl = '30 minutes'`);
  await expired();
  await using daemon = await startDaemon({ databaseUrl: db.url });
  await daemon.live();
  await eventually(isGone);

  await db.query(`alter database ${db.name} set pg_net.batch_size = 20`);
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.events().filter(({ msg, to }) => msg === "phase" && to === "live").length === 2);
  const before = receiver.requests.length;
  await db.query(QUEUE, [receiver.url("/?m="), 30]);
  const all = await receiver.waitFor(before + 30);
  const [first, last] = [all.at(before)?.at ?? 0, all.at(before + 29)?.at ?? 0];
  expect(last - first).toBeGreaterThan(1_000);
});
