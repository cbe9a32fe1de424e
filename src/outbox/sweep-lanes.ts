import { laneSql } from "./lane.ts";

/** With more due rows than this their lanes are found by stepping from one to the next. */
const MOST_DUE = 5_000;

/** Rows that it may read of each lane, however many lanes there are. */
const LEAST_READ = 2;

/** What preferred lanes have queued less than others. */
export const PREFERRED = 1_000_000;

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
  "installation_mark",
]
  .map((name) => `q.${name}`)
  .join(", ");

const FIRST_LANE = "pg_catalog.convert_from($1::bytea, pg_catalog.getdatabaseencoding())";

/** Steps from lane to lane over one index: one probe each, whatever is in it. */
function lanes(name: string, condition: string, when = "true"): string {
  const step = (compared: string): string =>
    `select ${laneSql("q")} from net.http_request_queue q where ${condition} and ${laneSql("q")} ${compared} order by 1 limit 1`;
  return `${name} (lane, n) as (
  (select lane, 1 from (${step(`>= ${FIRST_LANE}`)}) first (lane) where $10::int > 0 and ${when})
  union all
  select (${step("> l.lane")}), l.n + 1 from ${name} l where l.lane is not null and l.n < $10::int
)`;
}

/**
 * The first rows of each lane, as far as the lane has room, and one more to know whether that was all. The lane is compared as a range,
 * so that no index but the one by lane has the rows in their order, whatever the planner knows of the table.
 */
function firstRows(
  name: string,
  { lane, condition, order }: { lane: string; condition: string; order: string },
): string {
  const inOrder = `order by ${laneSql("q")}, ${order}`;
  return `${name} as (
  select r.lane as of_lane, r.room, r.queued, f.*
  from rooms r cross join lateral (
    select pg_catalog.row_number() over (${inOrder}) as n, ${COLUMNS}
    from net.http_request_queue q
    where ${condition} and ${laneSql("q")} >= r.lane and ${laneSql("q")} <= r.lane and (q.id, q.created) not in (select id, made from known)
    ${inOrder}
    limit r.room + 1
  ) f
  where r.room > 0 and ${lane}
)`;
}

/** Of the index by lane alone. */
const DUE_TIME = "coalesce(q.next_attempt_at, 'infinity'::timestamptz)";

/**
 * `chosen` are each lane's first rows as far as the lane has room, due ones in the order of their times and those never deferred in
 * the order of ids, in turn. Lanes of which nothing is due are not read for what is deferred; preferred lanes are read in any case. Their `place` is their position in
 * the lane, what is queued in memory included: in its order lanes of which least is queued come first. Those with less than nothing are
 * preferred, and so are those of the authorities $11: how much is read of each does not depend on how many others there are. Between those at the same place it is another one's `turn` in each sweep. $1 is the lane to begin at, $2 the
 * most rows, $4 those of a lane, $5 and $12 the ids to leave out, and when their rows were made; $6, $7 and $8 are
 * lanes, what of them waits and their room; $10 is how many lanes are looked for, 0 where only those of $6 are read.
 */
export const CHOSEN = `${lanes("fresh_lane", "q.next_attempt_at is null")},
known as materialized (
  select * from unnest($5::bigint[], $12::timestamptz[]) as k (id, made) where k.id is not null and k.made is not null
), shuffle as materialized (
  select (extract(epoch from pg_catalog.statement_timestamp()) * 1000::numeric)::bigint as seed
), first_due as materialized (
  select ${laneSql("q")} as lane from net.http_request_queue q
  where $10::int > 0 and q.next_attempt_at <= pg_catalog.statement_timestamp() order by q.next_attempt_at limit ${MOST_DUE} + 1
), ${lanes("deferred_lane", "q.next_attempt_at is not null", `(select count(*) from first_due) > ${MOST_DUE}`)}, lane as (
  select lane, coalesce(max(queued), 0)
      - case when coalesce(max(queued), 0) >= 0 and pg_catalog.split_part(lane, ' ', 1) = any ($11::text[]) then ${PREFERRED} else 0 end as queued,
    coalesce(max(room), $4::int) as room,
    bool_or(is_fresh or is_due) as is_found, bool_or(is_fresh) or coalesce(max(room) > 0 and max(queued) < 0, false) as is_fresh, bool_or(is_due) as is_due
  from (
    select lane, true as is_fresh, false as is_due, null::int as queued, null::int as room from fresh_lane where lane is not null
    union all select lane, false, true, null, null from deferred_lane where lane is not null
    union all select lane, false, true, null, null from first_due
    union all select lane, $10::int = 0, $10::int = 0, queued, room from unnest($6::text[], $7::int[], $8::int[]) as s (lane, queued, room)
  ) found
  group by lane
), rooms as materialized (
  select lane, queued, is_fresh, is_due,
    least(room, greatest(${LEAST_READ}, 2 * $2::int / greatest(1, count(*) filter (where room > 0 and is_found) over (partition by queued < 0))))::int as room
  from lane where is_fresh or is_due
), ${firstRows("due", {
  lane: "r.is_due",
  condition: `q.next_attempt_at is not null and ${DUE_TIME} <= pg_catalog.statement_timestamp()`,
  order: DUE_TIME,
})},
${firstRows("fresh", { lane: "r.is_fresh", condition: "q.next_attempt_at is null", order: "q.id" })}, placed as (
  select u.*, pg_catalog.row_number() over (partition by u.of_lane order by u.n, u.next_attempt_at nulls last) as k
  from (select * from due union all select * from fresh) u
), chosen as (
  select p.*, p.queued + p.k as place, pg_catalog.hashtextextended(p.of_lane, (select seed from shuffle)) as turn from placed p where p.k <= p.room
)`;

/** The lanes of which rows were left for lack of room, where those of `fitting` are read. */
export const LEFT_LANES = `(
    (select of_lane as lane from (select of_lane, count(*) from placed group by of_lane
      except all select of_lane, count(*) from fitting group by of_lane) as unread)
    union select lane from rooms where room = 0
  )`;

/** The lane at which the next sweep begins, where this one did not read all; as bytes, since a lane may have what no client can read. */
export const NEXT_LANE = `pg_catalog.convert_to(
    (select min(l.lane) from (select * from fresh_lane union all select * from deferred_lane) l where l.n = $10::int),
    pg_catalog.getdatabaseencoding()
  )`;
