-- Scripts of Supabase make functions security definer with a search_path of their own, in which types and tables of the caller's
-- pg_temp come first: what they name without a schema could be the caller's, and its checks run with the rights of the owner.

-- API: public
create or replace function net.http_request(
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
    convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$$;

-- API: public
create or replace function net.http_replay(request_id bigint)
  returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  own_mark constant integer := (
    select substring(pg_get_expr(d.adbin, d.adrelid), '^[0-9]+$')
    from pg_catalog.pg_attribute as a join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'net.http_dead_letter'::pg_catalog.regclass and a.attname = 'installation_mark'
  );
  replayed bigint;
begin
  with letter as (
    delete from net.http_dead_letter as d
    where (d.ctid, d.tableoid) = (
      select latest.ctid, latest.tableoid from net.http_dead_letter as latest
      where latest.id = request_id
      order by (latest.error_code = 'other_installation' or latest.installation_mark <> own_mark) is true, latest.died desc
      limit 1 for update
    )
    returning d.*, (d.error_code = 'other_installation' or d.installation_mark <> own_mark) is true as is_foreign
  )
  insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds, deduplication_key, options, lane)
  select case when letter.is_foreign then nextval('net.http_request_queue_id_seq') else letter.id end,
    letter.method, letter.url, letter.headers, letter.body, letter.timeout_milliseconds,
    letter.deduplication_key, letter.options, letter.lane
  from letter
  returning id into replayed;
  if replayed is null then
    raise exception 'no dead letter with id %', request_id
      using errcode = 'no_data_found', hint = 'See net.http_dead_letter for those there are.';
  end if;
  return replayed;
end
$$;

-- API: private
create or replace function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  query pg_catalog.text := net._lower_hex(array_to_string(params_array, '&'));
  fragment pg_catalog.text := '';
  cut integer;
begin
  if not net._is_plain_url(url) and url collate "C" !~* E'^https?://([^/?#@\\s]*@)?[^]/?#@:\\s]+\\]?(:[0-9]*)?([/?#][^ \\t\\r\\n]*)?$' then
    if url collate "C" ~* '^[a-z][a-z0-9+.-]*:' and url !~* '^https?:' then
      raise exception 'Unsupported URL scheme: "%"', left(url, 500)
        using errcode = 'invalid_parameter_value', hint = 'A URL begins with http:// or https://.';
    end if;
    raise exception 'invalid URL "%"', left(url, 500)
      using errcode = 'invalid_parameter_value',
        hint = 'A URL begins with http:// or https:// and a host; white space in it is written %20.';
  end if;
  if query = '' then
    return url;
  end if;
  cut := strpos(url, '#');
  if cut > 0 then
    fragment := substr(url, cut);
    url := left(url, cut - 1);
  end if;
  return url
    || case when strpos(url, '?') = 0 then '?' when right(url, 1) in ('?', '&') then '' else '&' end
    || query || fragment;
end
$$;

-- A role that may read answers, and no dead letters, still asks for the state of a request: what has become a dead letter is unknown to it.

-- API: private
create or replace function net._request_state(
  request_id bigint,
  out state text,
  out inserted_by xid,
  out status_code integer,
  out headers jsonb,
  out content text,
  out error_msg text
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not has_column_privilege('net.http_dead_letter', 'error_msg', 'select') then
    select
        case when queue.id is not null then 'waiting' when response.id is not null then 'answered' else 'unknown' end,
        queue.xmin, response.status_code, response.headers, response.content, response.error_msg
      into state, inserted_by, status_code, headers, content, error_msg
      from (select) as one
      left join net.http_request_queue as queue on queue.id = request_id
      left join lateral (
        select * from net._http_response as r where r.id = request_id order by r.created desc limit 1
      ) as response on true;
    return;
  end if;
  select
      case
        when queue.id is not null then 'waiting'
        when response.id is not null then 'answered'
        when dead.id is not null then 'dead'
        else 'unknown'
      end,
      queue.xmin,
      response.status_code,
      response.headers,
      response.content,
      coalesce(response.error_msg, dead.error_msg, 'HTTP status ' || dead.status_code || ' after ' || dead.attempts || ' attempts')
    into state, inserted_by, status_code, headers, content, error_msg
    from (select) as one
    left join net.http_request_queue as queue on queue.id = request_id
    left join lateral (
      select * from net._http_response as r where r.id = request_id order by r.created desc limit 1
    ) as response on true
    left join lateral (
      select d.id, d.status_code, d.error_msg, d.attempts
      from net.http_dead_letter as d where d.id = request_id order by d.died desc limit 1
    ) as dead on response.id is null;
end
$$;

comment on column net.http_request_queue.timeout_milliseconds is
  'From the moment of sending to the last byte of the answer; 0, and more than http.maxTimeoutMs (ten minutes unless set), is http.maxTimeoutMs.';
