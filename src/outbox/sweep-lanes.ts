import { laneSql } from "./lane.ts";

/** Lanes that one sweep reads. */
const MOST_LANES = 5_000;

/** Rows that it may read of each lane, however many lanes there are. */
const LEAST_READ = 8;

/** By name, since somebody's own columns may have any. */
export const COLUMNS = [
  "id",
  "method",
  "url",
  "headers",
  "body",
  "timeout_milliseconds",
  "created",
  "next_attempt_at",
  "attempts",
  "options",
]
  .map((name) => `q.${name}`)
  .join(", ");

const FIRST_LANE = "pg_catalog.convert_from($1::bytea, pg_catalog.getdatabaseencoding())";

/** Steps from lane to lane over one index: one probe each, whatever is in it. */
function lanes(name: string, condition: string): string {
  const step = (compared: string): string =>
    `select ${laneSql("q")} from net.http_request_queue q where ${condition} and ${laneSql("q")} ${compared} order by 1 limit 1`;
  return `${name} (lane, n) as (
  (select lane, 1 from (${step(`>= ${FIRST_LANE}`)}) first (lane))
  union all
  select (${step("> l.lane")}), l.n + 1 from ${name} l where l.lane is not null and l.n < ${MOST_LANES}
)`;
}

/** The first rows of each lane of `among`, as far as the lane has room, and one more to know whether that was all. */
function firstRows(
  name: string,
  { among, condition, order }: { among: string; condition: string; order: string },
): string {
  return `${name} as materialized (
  select r.lane as of_lane, r.room, r.queued, f.*
  from rooms r join ${among} l on l.lane = r.lane cross join lateral (
    select pg_catalog.row_number() over (order by q.${order}) as n, ${COLUMNS}
    from net.http_request_queue q
    where ${condition} and ${laneSql("q")} = r.lane and q.id <> all ($5::bigint[])
    order by q.${order}
    limit r.room + 1
  ) f
  where r.room > 0
)`;
}

/**
 * `chosen` are each lane's first rows as far as the lane has room, due ones in the order of their times and those never deferred in
 * the order of ids, in turn. Their `place` is their position in the lane, what waits in memory included: in its order lanes of which
 * least waits come first. $1 is the lane to begin at, $2 the most rows, $4 those of a lane, $5 the ids to leave out; $6, $7 and $8 are
 * lanes, what of them waits and their room.
 */
export const CHOSEN = `${lanes("fresh_lane", "q.next_attempt_at is null")},
${lanes("deferred_lane", "q.next_attempt_at is not null")}, lane as (
  select lane from fresh_lane where lane is not null union select lane from deferred_lane where lane is not null
), rooms as materialized (
  select l.lane, coalesce(s.queued, 0) as queued,
    least(
      coalesce(s.room, $4::int),
      greatest(${LEAST_READ}, 2 * $2::int / greatest(1, count(*) filter (where coalesce(s.room, $4::int) > 0) over ()))
    )::int as room
  from lane l left join unnest($6::text[], $7::int[], $8::int[]) as s (lane, queued, room) on s.lane = l.lane
), ${firstRows("due", {
  among: "deferred_lane",
  condition: "q.next_attempt_at <= pg_catalog.statement_timestamp()",
  order: "next_attempt_at",
})}, ${firstRows("fresh", { among: "fresh_lane", condition: "q.next_attempt_at is null", order: "id" })}, placed as (
  select u.*, pg_catalog.row_number() over (partition by u.of_lane order by u.n, u.next_attempt_at nulls last) as k
  from (select * from due union all select * from fresh) u
), chosen as (
  select p.*, p.queued + p.k as place from placed p where p.k <= p.room
)`;

/** The lanes of which rows were left for lack of room, where those of `fitting` are read. */
export const LEFT_LANES = `(
    (select of_lane as lane from (select of_lane, count(*) from placed group by of_lane
      except all select of_lane, count(*) from fitting group by of_lane) as unread)
    union select lane from rooms where room = 0
  )`;

/** The lane at which the next sweep begins, where this one did not read all; as bytes, since a lane may have what no client can read. */
export const NEXT_LANE = `pg_catalog.convert_to(
    (select min(l.lane) from (select * from fresh_lane union all select * from deferred_lane) l where l.n = ${MOST_LANES}),
    pg_catalog.getdatabaseencoding()
  )`;
