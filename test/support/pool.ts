import pg from "pg";

/**
 * A pool of a test. A session that is ended while it is idle, or while the pool ends, is what tests do; without a listener
 * it would end the process.
 */
export function openTestPool(options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(options);
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}
