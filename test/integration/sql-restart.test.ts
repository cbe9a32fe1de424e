import type { PoolClient } from "pg";
import { expect, test } from "vitest";
import { configFile } from "../support/config-file.ts";
import { startDaemon } from "../support/daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const TIMES = 200;
const CALLS = ["select net.worker_restart()", "select net.wait_until_running()", "select net.check_worker_is_up()"];
const IN_ONE = "select net.worker_restart(), net.wait_until_running(), net.check_worker_is_up()";

const WENT_OVER = "restart: the settings have changed; a daemon with the new ones takes over";

/** Runs `act` on a connection of its own and returns why it failed; null where it did not. */
async function failureOf(db: TestDatabase, act: (client: PoolClient) => Promise<void>): Promise<unknown> {
  const client = await db.pool.connect();
  try {
    await act(client);
    return null;
  } catch (error) {
    return error;
  } finally {
    client.release(true);
  }
}

async function inARow(client: PoolClient, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    for (const call of CALLS) await client.query(call);
  }
}

test(
  "worker_restart, wait_until_running and check_worker_is_up in a row never raise while a daemon runs",
  { timeout: 120_000 },
  async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl: db.url });
    await daemon.live();
    const session = failureOf(db, (client) => inARow(client, TIMES));
    expect(await session).toBeNull();
    const transaction = failureOf(db, async (client) => {
      await client.query("begin");
      await inARow(client, TIMES);
      await client.query("commit");
    });
    expect(await transaction).toBeNull();
    const statements = failureOf(db, async (client) => {
      for (let time = 0; time < TIMES; time += 1) await client.query(IN_ONE);
    });
    expect(await statements).toBeNull();
    const sessions = await Promise.all(
      Array.from({ length: 4 }, () => failureOf(db, (client) => inARow(client, TIMES / 4))),
    );
    expect(sessions).toEqual([null, null, null, null]);
    await db.query("select net.http_get($1)", [receiver.url("/after")]);
    expect(await receiver.waitFor(1)).toHaveLength(1);
  },
);

test(
  "nor do they while each restart finds other settings, and a daemon with the new ones takes over",
  { timeout: 120_000 },
  async () => {
    await using db = await testDatabase();
    await using file = await configFile("rate:\n  perSecond: 100\n");
    await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
    await daemon.live();
    const changes = (): number => daemon.events().filter(({ msg }) => msg === WENT_OVER).length;
    const failure = await failureOf(db, async (client) => {
      for (let change = 1; change <= 2; change += 1) {
        await file.write(`rate:\n  perSecond: ${100 + change}\n`);
        const deadline = performance.now() + 30_000;
        while (changes() < change && performance.now() < deadline) await inARow(client, 1);
        await inARow(client, 20);
      }
    });
    expect({ failure, changes: changes() }).toEqual({ failure: null, changes: 2 });
  },
);
