-- Lanes: requests to one destination, or of one name within it, that are read and sent one after the other, beside all others.

alter table net.http_request_queue add column lane text;
comment on column net.http_request_queue.lane is
  'A name that groups requests to one destination: those of other names have their turns beside them. Null for none.';

drop function net.http_request(text, text, text, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text);
drop function net.http_request(text, text, jsonb, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text);
drop function net.http_request(text, text, bytea, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text);
drop function net._enqueue(text, text, jsonb, jsonb, bytea, integer, timestamptz, text, jsonb);

-- API: private
create function net._enqueue(
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
comment on function net._enqueue(text, text, jsonb, jsonb, bytea, integer, timestamptz, text, jsonb, text) is
  'Puts a checked request into the outbox, or finds the one waiting with the same deduplication key; returns its id.';

-- API: public
create function net.http_request(
  method text,
  url text,
  body text default null,
  content_type text default null,
  params jsonb default null,
  headers jsonb default null,
  timeout_milliseconds integer default 5000,
  delay interval default null,
  send_at timestamptz default null,
  deduplication_key text default null,
  max_attempts integer default null,
  retry_first_ms integer default null,
  retry_max_ms integer default null,
  max_redirects integer default null,
  keep text default null,
  lane text default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'text/plain; charset=utf-8' end),
    convert_to(body, 'UTF8'), timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$$;
comment on function net.http_request(text, text, text, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text) is
  'Queues a request with any method, a text body, a delay, a deduplication key, retries, a lane; returns its id.';

-- API: public
create function net.http_request(
  method text,
  url text,
  body jsonb,
  content_type text default null,
  params jsonb default null,
  headers jsonb default null,
  timeout_milliseconds integer default 5000,
  delay interval default null,
  send_at timestamptz default null,
  deduplication_key text default null,
  max_attempts integer default null,
  retry_first_ms integer default null,
  retry_max_ms integer default null,
  max_redirects integer default null,
  keep text default null,
  lane text default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'application/json' end),
    convert_to(body::text, 'UTF8'), timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$$;
comment on function net.http_request(text, text, jsonb, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text) is
  'Queues a request with any method, a JSON body, a delay, a deduplication key, retries, a lane; returns its id.';

-- API: public
create function net.http_request(
  method text,
  url text,
  body bytea,
  content_type text default null,
  params jsonb default null,
  headers jsonb default null,
  timeout_milliseconds integer default 5000,
  delay interval default null,
  send_at timestamptz default null,
  deduplication_key text default null,
  max_attempts integer default null,
  retry_first_ms integer default null,
  retry_max_ms integer default null,
  max_redirects integer default null,
  keep text default null,
  lane text default null
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'application/octet-stream' end),
    body, timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$$;
comment on function net.http_request(text, text, bytea, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text) is
  'Queues a request with any method, a body of bytes, a delay, a deduplication key, retries, a lane; returns its id.';
