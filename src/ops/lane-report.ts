import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";

/** What the report needs. */
export interface LaneReportOptions {
  readonly db: Queryable;
  readonly dispatcher: Pick<Dispatcher, "lanes">;
  readonly clock: Clock;
  readonly log: Log;
}

const EVERY_MS = 5_000;
const MOST_LANES = 1_000;

/** The table is unlogged and small, so it is rewritten each time. */
const REPORT = {
  name: "pgnetd_report_lanes",
  text: `
with former as (delete from net.http_lane_activity)
insert into net.http_lane_activity (lane, host, queued, in_flight, is_behind, is_paused, last_error, last_error_at)
select lane, host, queued, in_flight, is_behind, is_paused, last_error,
  pg_catalog.statement_timestamp() - pg_catalog.make_interval(secs => failed_ms_ago / 1000::float8)
from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::bool[], $6::bool[], $7::text[], $8::float8[])
  as t (lane, host, queued, in_flight, is_behind, is_paused, last_error, failed_ms_ago)`,
};

/** Writes what the daemon does with each lane for `net.http_lane_status()`. P8: nothing while nothing is in memory. */
export function reportLanes({ db, dispatcher, clock, log }: LaneReportOptions): Loop {
  const failures = new FailureLog(log, {
    failed: "what is done by lane could not be reported; net.http_lane_status() shows what waits alone",
    succeeded: "what is done by lane is reported again",
  });
  return async (signal) => {
    let reported = 0;
    while (!signal.aborted) {
      await clock.sleep(EVERY_MS, signal);
      const lanes = dispatcher.lanes(MOST_LANES);
      if (signal.aborted || (lanes.length === 0 && reported === 0)) continue;
      const now = clock.now();
      const values = [
        lanes.map(({ lane }) => lane),
        lanes.map(({ host }) => host),
        lanes.map(({ queued }) => queued),
        lanes.map(({ inFlight }) => inFlight),
        lanes.map(({ isBehind }) => isBehind),
        lanes.map(({ isPaused }) => isPaused),
        lanes.map(({ lastFailure }) => lastFailure?.code ?? null),
        lanes.map(({ lastFailure }) => (lastFailure === null ? null : now - lastFailure.at)),
      ];
      try {
        await db.query({ ...REPORT, values });
        reported = lanes.length;
        failures.succeeded();
      } catch (error) {
        failures.failed(error);
      }
    }
  };
}
