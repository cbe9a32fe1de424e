-- A call with a deduplication key ends also where the queue takes no row and shows none with that key.

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
  -- The request that has the key may end between the two statements: then the key is free again. A trigger that suppresses the insert, or a
  -- policy that hides the request with the key, does the same without end: the call makes no request, and has no id to return.
  for attempt in 1..100 loop
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
