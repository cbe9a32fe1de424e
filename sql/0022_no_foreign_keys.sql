-- No foreign key can refer to the tables that every role has REFERENCES on, so that `grant all on all tables in schema net` is a warning:
-- PostgreSQL checks one as the owner of the table referred to, with casts that whoever made it chose. None can use a partial index.

-- Cascade: those that others made go with the keys.
alter table net.pgnetd_installation drop constraint if exists pgnetd_installation_pkey cascade;
alter table net.pgnetd_installation alter column only_row set not null;
create unique index pgnetd_installation_one_row on net.pgnetd_installation (only_row) where only_row;
comment on index net.pgnetd_installation_one_row is 'One row. Partial, so that no foreign key can refer to it.';

alter table net.pgnetd_parts drop constraint if exists pgnetd_parts_pkey cascade;
alter table net.pgnetd_parts alter column name set not null;
create unique index pgnetd_parts_name on net.pgnetd_parts (name) where name is not null;
comment on index net.pgnetd_parts_name is 'One row per part. Partial, so that no foreign key can refer to it.';

-- FOR ALL TABLES publishes these tables, too, and then PostgreSQL refuses to update rows that nothing identifies.
alter table net.pgnetd_installation replica identity full;
alter table net.pgnetd_parts replica identity full;

grant references on net.pgnetd_installation, net.pgnetd_parts to public;

-- A transaction copies pg_stat_activity when it first reads it: a daemon that has begun since is not in it.

-- API: public
create or replace function net.check_worker_is_up() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_stat_clear_snapshot();
  if net._leader_pid() is null then
    raise exception 'the pg_net background worker is not up'
      using errcode = 'object_not_in_prerequisite_state',
        detail = format('No pgnetd daemon leads the database %s.', current_database()),
        hint = 'Start pgnetd for this database. Requests made meanwhile wait in net.http_request_queue and are not lost.';
  end if;
end
$$;

-- API: public
create or replace function net.wait_until_running() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  loop
    perform pg_stat_clear_snapshot();
    exit when net._leader_pid() is not null;
    perform pg_sleep(0.05);
  end loop;
end
$$;

-- Only a request with the same key is found in place of a new one: an id that is taken, where the sequence was set back, is an error, as without a key.

-- API: private
create or replace function net._enqueue(
  method text,
  url text,
  params jsonb,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer,
  next_attempt_at timestamptz,
  deduplication_key text,
  options jsonb,
  lane text default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- A conflict target cannot be qualified; everything else that has the name of a column is.
#variable_conflict use_column
declare
  request_id bigint;
begin
  method := upper(method collate "C");
  if (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD')) is not true then
    raise exception 'unsupported method "%"', coalesce(left(method, 100), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Use GET, POST, PUT, PATCH, DELETE or HEAD.';
  end if;
  if body is not null and method in ('GET', 'HEAD') then
    raise exception 'a % request has no body', method
      using errcode = 'invalid_parameter_value', hint = 'Leave body out; values for the query go into params.';
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if ((params is null or params = '{}') and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  if deduplication_key is null then
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, next_attempt_at, options, lane)
    values (method, url, headers, body, timeout_milliseconds, next_attempt_at, options, lane)
    returning id into request_id;
    return request_id;
  end if;
  -- The request that has the key may end between the two statements: then the key is free again. A trigger that suppresses the insert, or a
  -- policy that hides the request with the key, does the same without end: the call makes no request, and has no id to return.
  for attempt in 1..100 loop
    insert into net.http_request_queue as queue
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    values
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    on conflict (deduplication_key) where deduplication_key is not null do nothing
    returning queue.id into request_id;
    exit when request_id is not null;
    select queue.id into request_id from net.http_request_queue as queue
    where queue.deduplication_key = _enqueue.deduplication_key;
    exit when request_id is not null;
  end loop;
  return request_id;
end
$$;
