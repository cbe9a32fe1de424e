-- What waits and what is sent, by lane, for people with psql.

create unlogged table net.http_lane_activity (
  lane text not null,
  host text not null,
  queued integer not null,
  in_flight integer not null,
  is_behind boolean not null,
  is_paused boolean not null,
  last_error text,
  last_error_at timestamptz,
  reported timestamptz not null default now()
);
comment on table net.http_lane_activity is
  'What the leading daemon has in memory by lane, written every five seconds while that is something, the busiest 1,000 lanes; net.http_lane_status() reads it.';
comment on column net.http_lane_activity.lane is 'The lane''s key: destination, and the name that callers gave.';
comment on column net.http_lane_activity.host is 'The host as in net.http_host_settings.';
comment on column net.http_lane_activity.queued is 'Requests in memory that have not started.';
comment on column net.http_lane_activity.in_flight is 'Requests that have started and not ended.';
comment on column net.http_lane_activity.is_behind is 'The outbox may have requests of the lane that are not in memory.';
comment on column net.http_lane_activity.is_paused is 'The host is paused by net.http_host_settings.';
comment on column net.http_lane_activity.last_error is 'Code of the last failure of the host, or its status from 500 on; null without one since the host was last idle for long.';
comment on column net.http_lane_activity.last_error_at is 'When that was.';
comment on column net.http_lane_activity.reported is 'When the daemon wrote the row.';
grant select on net.http_lane_activity to public;

-- API: public
create function net.http_lane_status(most integer default 100)
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
      left(lower(split_part(split_part(left(q.url, 2048), '/', 3), '@', -1) collate "C") || coalesce(' ' || left(q.lane, 255), ''), 255) as lane
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
    from fresh f where f.lane is not null and f.n < most
  ), later (lane, n) as (
    (select q.lane, 1
     from request q where q.next_attempt_at is not null order by 1 limit 1)
    union all
    select (select q.lane
            from request q
            where q.next_attempt_at is not null and q.lane > l.lane order by 1 limit 1), l.n + 1
    from later l where l.lane is not null and l.n < most
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
  'What waits in each lane, the longest first, and what the daemon does with it: rows are counted up to 10,000 of each kind; what the daemon reports is up to five seconds old, and null where it reports nothing.';
