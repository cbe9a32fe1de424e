import { expect, test } from "vitest";

import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue, keysByPath, sessionsGone } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const COUNT = 600;
const RESTARTS = 3;
/** In flight at most. */
const CONCURRENCY = 16;
/** Begun until the first write was refused: half a second of the rate. */
const UNTIL_REFUSED = 100;
const ENV = { PGNETD_RATE_PER_SECOND: "200", PGNETD_HOST_CONCURRENCY: String(CONCURRENCY) };

const REFUSED = "results cannot be written: they are kept, and no request starts";

test("P2 P3: killed and started again while the disk is full: each start repeats what it cannot write, and no more", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  // A sequence counts tries though each is rolled back.
  await db.query("create sequence public.tries");
  await db.query(`create function public.full() returns trigger language plpgsql as
    $$ begin perform nextval('public.tries'); raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`);
  await db.query(`create trigger full_disk before insert on net._http_response
    for each row execute function public.full()`);
  await enqueue(db, receiver.url("/"), COUNT);
  const begun: number[] = [];
  for (let start = 0; start < RESTARTS; start += 1) {
    await db.query("alter sequence public.tries restart");
    const before = receiver.requests.length;
    const daemon = await startDaemon({ databaseUrl: db.url, env: ENV });
    await eventually(() => daemon.events().some(({ msg }) => msg === REFUSED));
    await eventually(async () => {
      const [tries] = await db.query<{ last: number }>("select last_value::int as last from public.tries");
      return tries !== undefined && tries.last >= 4;
    });
    expect(daemon.events().filter(({ msg }) => msg === REFUSED)).toHaveLength(1);
    await daemon.kill();
    await sessionsGone(db);
    begun.push(receiver.requests.length - before);
  }
  expect(Math.max(...begun)).toBeLessThanOrEqual(CONCURRENCY + UNTIL_REFUSED);
  expect(await db.query("select count(*)::int as left from net.http_request_queue")).toEqual([{ left: COUNT }]);
  const sent = begun.reduce((sum, one) => sum + one, 0);

  await db.query("drop trigger full_disk on net._http_response");
  await using _last = await startDaemon({ databaseUrl: db.url, env: ENV });
  await emptied(db, 15_000);
  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `begun at each start on a full disk: ${begun.join(" ")}`);
  expect(counts).toMatchObject({ answered: COUNT, lost: 0 });
  expect(counts.repeated).toBeLessThanOrEqual(sent);
  const keys = [...keysByPath(receiver.requests).values()];
  expect(keys.filter((one) => one.size !== 1 || one.has(undefined))).toEqual([]);
}, 30_000);
