import { expect, test } from "vitest";
import { openPool } from "../../src/pg/pool.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startPipeline } from "../support/pipeline.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("options in DATABASE_URL are kept, and take nothing away from pgnetd's own", async () => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set datestyle = 'SQL, DMY'`);
  await db.query(`alter database ${db.name} set timezone = 'Asia/Kolkata'`);
  const url = new URL(db.url);
  url.searchParams.set("options", "-c geqo=off -c datestyle=SQL");
  await using pool = openPool({ url: url.href, size: 1, statementTimeoutMs: 4_321 });
  const names = ["geqo", "DateStyle", "statement_timeout", "enable_seqscan"];
  const { rows } = await pool.query({
    text: "select name, setting from pg_settings where name = any ($1) order by name",
    values: [names],
  });
  expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toMatchObject({
    geqo: "off",
    DateStyle: expect.stringContaining("ISO") as unknown,
    statement_timeout: "4321",
    enable_seqscan: "off",
  });

  await using receiver = await startReceiver();
  await using _daemon = await startPipeline(url.href);
  await enqueue(db, receiver.url("/"), 20);
  await emptied(db);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([20, 20]);
});
