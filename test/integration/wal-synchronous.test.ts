import pg from "pg";
import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testServer } from "../support/server.ts";

test("P6: where the daemon's session counts as a standby server, a commit waits for it no longer than until it confirms", async () => {
  await using server = await testServer();
  await migrate(server.url());
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    await client.query("create table public.other (id int)");
    await client.query("alter system set synchronous_standby_names = '*'");
    await client.query("select pg_reload_conf()");
    await using _daemon = await startInProcess(server.url());
    // Each is the last that is written for the time being: the server begins a record of its own every 15 s.
    for (let id = 0; id < 3; id++) {
      const begunAt = performance.now();
      await client.query("insert into public.other select $1", [id]);
      expect(performance.now() - begunAt).toBeLessThan(3_000);
    }
    expect((await client.query("select count(*)::int as rows from public.other")).rows).toEqual([{ rows: 3 }]);
    await client.query("alter system reset synchronous_standby_names");
    await client.query("select pg_reload_conf()");
  } finally {
    await client.end();
  }
});
