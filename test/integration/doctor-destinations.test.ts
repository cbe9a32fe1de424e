import { expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { doctor } from "../support/doctor.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("destinations warns of a host that left most of the latest requests without an answer, and the remedy pauses it", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  const look = async () => (await doctor(db.url, "--only", "destinations")).of("destinations");
  const alive = receiver.url("/").replace("127.0.0.1", "localhost");
  const dead = `http://127.0.0.1:${await freePort()}/`;
  await enqueue(db, alive, 10);
  await enqueue(db, dead, 4);
  await emptied(db);
  // Four may be chance.
  expect(await look()).toMatchObject({ status: "ok" });
  await enqueue(db, dead, 2);
  await emptied(db);
  const { status, found, fix = "" } = await look();
  expect({ status, found }).toEqual({
    status: "warn",
    found: "most of the latest requests to these hosts had no answer: 127.0.0.1 (6 of 6, mostly connect)",
  });
  expect(fix).toContain("pgnetd doctor --only url --url 'https://127.0.0.1/'");
  await db.query(fix.slice(fix.indexOf("insert into")));
  expect(await db.query("select host, paused from net.http_host_settings")).toEqual([
    { host: "127.0.0.1", paused: true },
  ]);
  // What is long ago says nothing of now.
  await db.query("update net.http_response_detail set created = created - interval '1 hour'");
  expect(await look()).toMatchObject({ status: "ok" });
});

test("destinations prints no command with a host that a shell would read as more than a host", async () => {
  await using db = await testDatabase();
  const host = "x';touch${ifs}owned;'";
  await db.query(
    `insert into net.http_response_detail (id, method, url, attempts, error_code, enqueued)
    select n, 'GET', $1, 1, 'connect', now() from generate_series(1, 6) n`,
    [`https://${host}/`],
  );
  const { status, found, fix = "" } = (await doctor(db.url, "--only", "destinations")).of("destinations");
  expect({ status, found }).toEqual({
    status: "warn",
    found: `most of the latest requests to these hosts had no answer: ${host} (6 of 6, mostly connect)`,
  });
  expect(fix).not.toContain("pgnetd doctor");
  await db.query(fix.slice(fix.indexOf("insert into")));
  expect(await db.query("select host from net.http_host_settings")).toEqual([{ host }]);
});
