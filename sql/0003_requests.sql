-- Making requests. Each call is one insert; the common one takes no detour before it.

-- API: private
create function net._json_headers(headers jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  content_type text;
begin
  if headers is null then
    return '{"Content-Type": "application/json"}';
  end if;
  if jsonb_typeof(headers) <> 'object' then
    return headers;
  end if;
  if strpos(lower(headers::text collate "C"), '"content-type"') = 0 then
    return headers || '{"Content-Type": "application/json"}';
  end if;
  content_type := (select one.value from jsonb_each_text(headers) as one where lower(one.key collate "C") = 'content-type' limit 1);
  if content_type is null then
    return headers || '{"Content-Type": "application/json"}';
  end if;
  if lower(trim(split_part(content_type, ';', 1)) collate "C") <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"'
      using errcode = 'invalid_parameter_value',
        detail = format('It is "%s".', left(content_type, 200)),
        hint = 'Use net.http_request to send a body of any other type.';
  end if;
  return headers;
end
$$;
comment on function net._json_headers(jsonb) is
  'The headers for a JSON body: with a Content-Type where it is missing; raises where it is another.';

-- API: private
create function net._check_request(headers jsonb, timeout_milliseconds integer) returns void
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(headers) <> 'object' then
    raise exception 'headers must be a JSON object, not a JSON %', jsonb_typeof(headers)
      using errcode = 'invalid_parameter_value', hint = 'Write headers as {"Name": "value"}.';
  end if;
  if timeout_milliseconds is null then
    raise exception 'null value in column "timeout_milliseconds" of relation "http_request_queue" violates not-null constraint'
      using errcode = 'not_null_violation', hint = 'Leave it out for 5000 milliseconds.',
        schema = 'net', table = 'http_request_queue', column = 'timeout_milliseconds';
  end if;
  if timeout_milliseconds < 0 then
    raise exception 'timeout_milliseconds must not be negative, got %', timeout_milliseconds
      using errcode = 'invalid_parameter_value', hint = 'It is in milliseconds: 5000 is five seconds.';
  end if;
end
$$;
comment on function net._check_request(jsonb, integer) is 'Raises where headers or timeout are no such.';

-- API: public
create function net.http_get(
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
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', url, headers, timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;
comment on function net.http_get(text, jsonb, jsonb, integer) is
  'Queues a GET request, sent after commit; returns its id.';

-- API: public
create function net.http_post(
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
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;
comment on function net.http_post(text, jsonb, jsonb, jsonb, integer) is
  'Queues a POST request with a JSON body (null for none), sent after commit; returns its id.';

-- API: public
create function net.http_delete(
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
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', url, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$$;
comment on function net.http_delete(text, jsonb, jsonb, integer, jsonb) is
  'Queues a DELETE request, with a JSON body where one is given, sent after commit; returns its id.';
