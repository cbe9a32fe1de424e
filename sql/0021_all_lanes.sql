-- Without a limit the status of lanes has all of them: a null compared ended the search after the first.

-- API: public
create or replace function net.http_lane_status(most integer default 100)
returns table (
  lane text,
  host text,
  outbox_rows bigint,
  deferred bigint,
  oldest timestamptz,
  next_due timestamptz,
  queued integer,
  in_flight integer,
  is_behind boolean,
  is_paused boolean,
  last_error text,
  last_error_at timestamptz,
  reported timestamptz
)
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
  -- The expressions are those of the indexes by lane, and ranges and orders are so that only they serve, whatever the planner
  -- knows of the table.
  with recursive request as not materialized (
    select q.id, q.created, q.next_attempt_at,
      net._lane(q.url, q.lane) collate "C" as lane
    from net.http_request_queue q
  ), activity as (
    select * from net.http_lane_activity where reported > now() - interval '15 seconds'
  ), fresh (lane, n) as (
    (select q.lane, 1
     from request q where q.next_attempt_at is null order by 1 limit 1)
    union all
    select (select q.lane
            from request q
            where q.next_attempt_at is null and q.lane > f.lane order by 1 limit 1), f.n + 1
    from fresh f where f.lane is not null and f.n < coalesce(most, 2147483647)
  ), later (lane, n) as (
    (select q.lane, 1
     from request q where q.next_attempt_at is not null order by 1 limit 1)
    union all
    select (select q.lane
            from request q
            where q.next_attempt_at is not null and q.lane > l.lane order by 1 limit 1), l.n + 1
    from later l where l.lane is not null and l.n < coalesce(most, 2147483647)
  ), known as (
    (select a.lane from activity a order by a.queued + a.in_flight desc, a.lane limit most)
    union select f.lane from fresh f where f.lane is not null
    union select l.lane from later l where l.lane is not null
  )
  select k.lane, a.host,
    waits.now + waits.later, waits.later, waits.oldest, waits.next_due,
    coalesce(a.queued, 0), coalesce(a.in_flight, 0), a.is_behind, a.is_paused, a.last_error, a.last_error_at, a.reported
  from known k left join activity a on a.lane = k.lane cross join lateral (
    select
      (select count(*) from (
        select from request q where q.next_attempt_at is null and q.lane >= k.lane and q.lane <= k.lane
        order by q.lane, q.id limit 10000) one) as now,
      (select count(*) from (
        select from request q where q.next_attempt_at is not null and q.lane >= k.lane and q.lane <= k.lane
        order by q.lane, coalesce(q.next_attempt_at, 'infinity') limit 10000) one) as later,
      (select q.created from request q where q.next_attempt_at is null and q.lane >= k.lane and q.lane <= k.lane
       order by q.lane, q.id limit 1) as oldest,
      (select q.next_attempt_at from request q where q.next_attempt_at is not null and q.lane >= k.lane and q.lane <= k.lane
       order by q.lane, coalesce(q.next_attempt_at, 'infinity') limit 1) as next_due
  ) waits
  order by waits.now + waits.later desc, k.lane
  limit most
$$;
comment on function net.http_lane_status(integer) is
  'What waits in each lane, the longest first, and what the daemon does with it: rows are counted up to 10,000 of each kind; what the daemon reports is up to five seconds old, and null where it reports nothing. A null asks for every lane.';
