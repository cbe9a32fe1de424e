import { expect, test } from "vitest";
import { SchemaWatch } from "../../src/outbox/schema-watch.ts";
import { openPool, type Queryable } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

test("a schema that was dropped is noticed, also after a table was missing that is somebody else's", async () => {
  await using db = await testDatabase();
  await using pool = openPool({ url: db.url, size: 2, statementTimeoutMs: 60_000 });
  const [outbox] = await db.query<{ oid: number }>("select 'net.http_request_queue'::regclass::oid::int as oid");
  let under = 0;
  let gone = 0;
  const counted: Queryable = {
    query: (statement) => {
      under++;
      return pool.query<never>(statement).finally(() => under--);
    },
  };
  const watch = new SchemaWatch({ db: counted, outbox: outbox?.oid ?? 0, log: silentLog, gone: () => gone++ });
  const missing = { code: "42P01" };
  await expect(watch.query({ text: "select from somebodys" })).rejects.toMatchObject(missing);
  await eventually(() => under === 0);
  expect(gone).toBe(0);
  await db.query("drop schema net cascade");
  await eventually(async () => {
    await expect(watch.query({ text: "select from net.http_request_queue" })).rejects.toMatchObject(missing);
    return gone === 1;
  });
});
