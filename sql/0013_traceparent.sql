-- A trace goes on: what a session says of it is kept with its requests, and sent with them.

-- API: private
create function net._with_traceparent(headers jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  traceparent constant text := current_setting('pgnetd.traceparent', true);
begin
  if (traceparent collate "C" ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') is not true
    or exists (select from jsonb_object_keys(headers) as name where lower(name collate "C") = 'traceparent')
  then
    return headers;
  end if;
  return coalesce(headers, '{}') || jsonb_build_object('traceparent', traceparent);
end
$$;
comment on function net._with_traceparent(jsonb) is
  'The headers with the setting pgnetd.traceparent of the session, unless they have one; anything but a W3C traceparent is passed over.';

-- As before, with that. A trigger would cost every call a quarter more.

-- API: public
create or replace function net.http_get(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  request_id bigint;
begin
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', url, headers, timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;

-- API: public
create or replace function net.http_post(
  url text,
  body jsonb default '{}'::jsonb,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  request_id bigint;
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;

-- API: public
create or replace function net.http_delete(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000,
  body jsonb default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  request_id bigint;
begin
  if body is not null then
    headers := net._json_headers(headers);
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', url, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;

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
  -- The request that has the key may end between the two statements: then the key is free again.
  loop
    insert into net.http_request_queue as queue
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    values
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    on conflict do nothing
    returning queue.id into request_id;
    exit when request_id is not null;
    select queue.id into request_id from net.http_request_queue as queue
    where queue.deduplication_key = _enqueue.deduplication_key;
    exit when request_id is not null;
  end loop;
  return request_id;
end
$$;
