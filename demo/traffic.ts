import type pg from "pg";
import { systemClock } from "../src/base/clock.ts";
import { openReceiver } from "../src/cli/receiver.ts";
import { freePort } from "./free-port.ts";

/** What is asked for in second `n` of the traffic, from the receiver on port $1 and from port $2, where nobody listens. */
const SELECT_TRAFFIC = `
select net.http_post('http://fast.localhost:' || $1 || '/delay/' || 2 + i * 9, jsonb_build_object('event', i))
  from generate_series(1, 3 + ($3::int / 7) % 5) i
union all
select net.http_get('http://slow.localhost:' || $1 || '/delay/' || 700 + ($3::int * 37) % 900, timeout_milliseconds := 1500)
union all
select net.http_request('POST', 'http://failing.localhost:' || $1 || '/status/503', body := '{}', max_attempts := 3, retry_first_ms := 1000)
  where $3::int % 4 = 1
union all
select net.http_request('POST', 'http://dead.localhost:' || $2 || '/', body := '{}', max_attempts := 5, retry_first_ms := 1000)
  where $3::int % 5 = 2`;

/** Calls several hosts until `stop` fires, so that the page has something to show: one fast, one slow, one that fails, one that is dead. */
export async function traffic(client: pg.Client, stop: AbortSignal): Promise<void> {
  await using receiver = await openReceiver({ onRequest: () => undefined });
  const { port } = new URL(receiver.address);
  const closed = await freePort();
  for (let second = 0; !stop.aborted; second++) {
    await client.query(SELECT_TRAFFIC, [port, String(closed), second]);
    await systemClock.sleep(1_000, stop);
  }
}
