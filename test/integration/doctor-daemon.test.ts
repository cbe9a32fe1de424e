import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { doctorWith, type FoundByDoctor } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { askPage } from "../support/page-client.ts";

/** What the check says with the daemon's port in the settings. */
async function look(url: string, address: string): Promise<FoundByDoctor> {
  const { hostname, port } = new URL(address);
  const env = { DATABASE_URL: url, PGNETD_HOST: hostname.replace(/^\[(.*)\]$/, "$1"), PGNETD_PORT: port };
  return (await doctorWith(env, "--only", "daemon")).of("daemon");
}

test("daemon fails where the daemon leads and cannot write results, with what the server said, and so does the page's text", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await eventually(async () => (await look(db.url, daemon.address)).status === "ok");
  await db.query(`create function public.full() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`);
  await db.query(
    "create trigger full_disk before insert on net._http_response for each row execute function public.full()",
  );
  await db.query("select net.http_get($1)", [receiver.url()]);
  const why =
    "no request starts, since results cannot be written: could not extend file: No space left on device. The disk of the database is full: free or add space.";
  await eventually(async () => (await askPage(daemon.address, "/readyz")).text.includes(why));
  expect(await look(db.url, daemon.address)).toMatchObject({
    status: "fail",
    found: expect.stringContaining(`leads and sends nothing: ${why}`) as unknown,
  });
  await db.query("drop trigger full_disk on net._http_response");
  await eventually(async () => (await look(db.url, daemon.address)).status === "ok");
});

test.for([
  ["127.0.0.1", "127.0.0.1"],
  ["::1", "[::1]"],
] as const)("daemon fails where something has the daemon's port on %s and does not answer", async ([host, inUrl]) => {
  await using db = await testDatabase();
  const server = createServer(() => undefined);
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    expect(await look(db.url, `http://${inUrl}:${port}`)).toMatchObject({
      status: "fail",
      found: expect.stringContaining(`something has ${inUrl}:${port} and does not answer`) as unknown,
    });
  } finally {
    server.close();
  }
});

test("daemon is no alarm where the doctor runs elsewhere, nor on standby", async () => {
  await using db = await testDatabase();
  expect(await look(db.url, `http://127.0.0.1:${await freePort()}`)).toMatchObject({ status: "ok" });
  await using _leader = await startInProcess(db.url);
  await using standby = await startInProcess(db.url, {}, "standby");
  expect(await look(db.url, standby.address)).toMatchObject({ status: "ok" });
});
