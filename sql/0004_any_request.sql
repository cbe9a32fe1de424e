-- The general request, and the methods that pg_net does not have.

-- API: private
-- How often and how long to try, as it is kept in the outbox; null for all defaults.
create function net._request_options(
  max_attempts integer,
  retry_first_ms integer,
  retry_max_ms integer,
  max_redirects integer,
  keep text
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  wrong text := case
    when max_attempts not between 1 and 1000 then format('max_attempts must be from 1 to 1000, got %s', max_attempts)
    when retry_first_ms < 0 then format('retry_first_ms must be 0 or more, got %s', retry_first_ms)
    when retry_max_ms < coalesce(retry_first_ms, 0)
      then format('retry_max_ms must be %s or more, got %s', coalesce(retry_first_ms, 0), retry_max_ms)
    when max_redirects not between 0 and 50 then format('max_redirects must be from 0 to 50, got %s', max_redirects)
    when keep not in ('all', 'headers', 'status') then format('keep must be all, headers or status, got %L', keep)
  end;
begin
  if wrong is not null then
    raise exception '%', wrong using errcode = 'invalid_parameter_value',
      hint = 'Leave an argument out, or give null, for the default.';
  end if;
  return nullif(jsonb_strip_nulls(jsonb_build_object(
    'max_attempts', max_attempts, 'retry_first_ms', retry_first_ms, 'retry_max_ms', retry_max_ms,
    'max_redirects', max_redirects, 'keep', keep)), '{}');
end
$$;
comment on function net._request_options(integer, integer, integer, integer, text) is
  'The arguments as the options of an outbox row; null where all are null; raises where one is out of range.';

-- API: private
create function net._due(delay interval, send_at timestamptz) returns timestamptz
language plpgsql volatile parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if delay is not null and send_at is not null then
    raise exception 'delay and send_at exclude each other'
      using errcode = 'invalid_parameter_value', hint = 'Give one of them.';
  end if;
  if delay < interval '0' then
    raise exception 'delay must not be negative, got %', delay
      using errcode = 'invalid_parameter_value', hint = 'Leave it out to send at once.';
  end if;
  send_at := coalesce(send_at, clock_timestamp() + delay);
  if not isfinite(send_at) then
    raise exception 'send_at must be a time, got %', send_at
      using errcode = 'invalid_parameter_value', hint = 'Set paused in net.http_host_settings to hold requests back.';
  end if;
  return case when send_at > clock_timestamp() then send_at end;
end
$$;
comment on function net._due(interval, timestamptz) is 'When to send; null for at once.';

-- API: private
create function net._content_type_headers(headers jsonb, content_type text, usual text) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
begin
  if headers is null then
    return case
      when coalesce(content_type, usual) is not null then jsonb_build_object('Content-Type', coalesce(content_type, usual))
    end;
  end if;
  if jsonb_typeof(headers) <> 'object' then
    return headers;
  end if;
  name := (select one.key from jsonb_object_keys(headers) as one (key) where lower(one.key collate "C") = 'content-type' limit 1);
  if content_type is null and (name is not null or usual is null) then
    return headers;
  end if;
  return headers - coalesce(name, '') || jsonb_build_object('Content-Type', coalesce(content_type, usual));
end
$$;
comment on function net._content_type_headers(jsonb, text, text) is
  'The headers with the asked content type, or with the usual one where there is none.';

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
  options jsonb
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
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, next_attempt_at, options)
    values (method, url, headers, body, timeout_milliseconds, next_attempt_at, options)
    returning id into request_id;
    return request_id;
  end if;
  -- The request that has the key may end between the two statements: then the key is free again.
  loop
    insert into net.http_request_queue as queue
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options)
    values
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options)
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
comment on function net._enqueue(text, text, jsonb, jsonb, bytea, integer, timestamptz, text, jsonb) is
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
  keep text default null
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
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end);
end
$$;
comment on function net.http_request(text, text, text, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text) is
  'Queues a request with any method, a text body, a delay, a deduplication key, retries; returns its id.';

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
  keep text default null
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
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end);
end
$$;
comment on function net.http_request(text, text, jsonb, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text) is
  'Queues a request with any method, a JSON body, a delay, a deduplication key, retries; returns its id.';

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
  keep text default null
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
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end);
end
$$;
comment on function net.http_request(text, text, bytea, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text) is
  'Queues a request with any method, a body of bytes, a delay, a deduplication key, retries; returns its id.';

-- API: public
create function net.http_put(
  url text,
  body jsonb default '{}'::jsonb,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  return net._enqueue('PUT', url, params, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds, null, null, null);
end
$$;
comment on function net.http_put(text, jsonb, jsonb, jsonb, integer) is
  'Queues a PUT request with a JSON body (null for none), sent after commit; returns its id.';

-- API: public
create function net.http_patch(
  url text,
  body jsonb default '{}'::jsonb,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  return net._enqueue('PATCH', url, params, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds, null, null, null);
end
$$;
comment on function net.http_patch(text, jsonb, jsonb, jsonb, integer) is
  'Queues a PATCH request with a JSON body (null for none), sent after commit; returns its id.';

-- API: public
create function net.http_head(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return net._enqueue('HEAD', url, params, headers, null, timeout_milliseconds, null, null, null);
end
$$;
comment on function net.http_head(text, jsonb, jsonb, integer) is
  'Queues a HEAD request, sent after commit; returns its id.';
