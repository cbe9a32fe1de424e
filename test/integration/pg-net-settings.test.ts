import { expect, test } from "vitest";
import { openPool } from "../../src/pg/pool.ts";
import { type PgNetSettings, readPgNetSettings } from "../../src/pg/pg-net-settings.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

async function readAnew(db: TestDatabase): Promise<PgNetSettings> {
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
  return await readPgNetSettings(pool);
}

test("pg_net's settings are read as the database has them", async () => {
  await using db = await testDatabase();
  expect(await readAnew(db)).toEqual({ ttlSeconds: null, batchSize: null });
  await db.query(`alter database ${db.name} set pg_net.ttl = '1 day'`);
  await db.query(`alter database ${db.name} set pg_net.batch_size = 500`);
  expect(await readAnew(db)).toEqual({ ttlSeconds: 86_400, batchSize: 500 });
});

test.each([
  ["pg_net.ttl", "soon"],
  ["pg_net.ttl", "0 hours"],
  ["pg_net.ttl", "infinity"],
  ["pg_net.batch_size", "many"],
  ["pg_net.batch_size", "0"],
  ["pg_net.batch_size", "99999999999"],
])("%s = '%s' is a wrong configuration, no defect", async (name, value) => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set ${name} = '${value}'`);
  await expect(readAnew(db)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining(name) as string,
  });
});
