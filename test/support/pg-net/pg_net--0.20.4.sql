-- What pg_net 0.20 makes, as far as others can depend on it. Nothing sends the requests.

create schema if not exists net;

create domain net.http_method as text check (value ilike 'get' or value ilike 'post' or value ilike 'delete');

create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds int not null
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out bool,
  error_msg text,
  created timestamptz not null default now()
);
create index on net._http_response (created);

create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
create type net.http_response as (status_code integer, headers jsonb, body text);
create type net.http_response_result as (status net.request_status, message text, response net.http_response);

create function net._urlencode_string(string varchar) returns text language sql immutable as 'select string::text';
create function net._encode_url_with_params_array(url text, params_array text[]) returns text
  language sql immutable as $$ select url || coalesce('?' || nullif(array_to_string(params_array, '&'), ''), '') $$;
create function net.check_worker_is_up() returns void language sql as '';
create function net.wait_until_running() returns void language sql as '';
create function net.worker_restart() returns bool language sql as 'select true';
create function net.wake() returns void language sql as '';
create function net._await_response(request_id bigint) returns bool language sql as 'select true';

create function net.http_get(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds int default 5000
) returns bigint language sql as $$
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', $1, $3, $4) returning id
$$;
create function net.http_post(
  url text,
  body jsonb default '{}'::jsonb,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb,
  timeout_milliseconds int default 5000
) returns bigint language sql as $$
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', $1, $4, convert_to($2::text, 'UTF8'), $5) returning id
$$;
create function net.http_delete(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds int default 5000,
  body jsonb default null
) returns bigint language sql as $$
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', $1, $3, convert_to($5::text, 'UTF8'), $4) returning id
$$;

create function net._http_collect_response(request_id bigint, async bool default true)
  returns net.http_response_result language sql as $$
  select row('SUCCESS', 'ok', row(r.status_code, r.headers, r.content)::net.http_response)::net.http_response_result
  from net._http_response r where r.id = request_id
$$;
create function net.http_collect_response(request_id bigint, async bool default true)
  returns net.http_response_result language sql as 'select net._http_collect_response(request_id, async)';

grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;
