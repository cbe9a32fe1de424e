-- What roles that are not to be trusted could do to others.

-- API: private
-- The leader holds a session advisory lock on its replication connection: classid is "pgnt" in ASCII, objid the shard; while
-- the lead goes to another session of it, one with "pgnh". Any role can take these locks, under any name: only who may write
-- results can be a daemon.
create or replace function net._leader_pid() returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select l.pid
  from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
  where l.locktype = 'advisory' and l.granted and l.classid in (1885826676, 1885826664) and l.objsubid = 2
    and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    and has_table_privilege(a.usesysid, 'net.http_response_detail', 'insert')
  order by l.classid desc, l.objid
  limit 1
$$;

-- Literals with backslashes are E'', with each doubled: in others it depends on standard_conforming_strings of the caller's session
-- what they are.

-- API: private
create or replace function net._percent_encode(string text, upper_case boolean) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  encoding text := case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end;
begin
  return (
    select string_agg(
      case
        when one.c collate "C" ~ '^[A-Za-z0-9._~-]$' then one.c
        when upper_case then regexp_replace(upper(encode(convert_to(one.c, encoding), 'hex')), '..', E'%\\&', 'g')
        else regexp_replace(encode(convert_to(one.c, encoding), 'hex'), '..', E'%\\&', 'g')
      end, '' order by one.n)
    from unnest(string_to_array(string, null)) with ordinality as one (c, n)
  );
end
$$;

-- API: private
create or replace function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  query text := net._lower_hex(array_to_string(params_array, '&'));
  fragment text := '';
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

-- Every role may read what became of requests: not who may make them, and with which keys.
update net.http_response_detail
set url = regexp_replace(split_part(split_part(url, '#', 1), '?', 1), E'^([^:/]*:[/\\\\]*)[^/\\\\]*@', E'\\1')
  || case when strpos(split_part(url, '#', 1), '?') = 0 then '' else '?***' end
where strpos(url, '?') + strpos(url, '@') + strpos(url, '#') > 0;
comment on column net.http_response_detail.url is
  'The url of the request without user, password and fragment, and with ?*** in place of its query.';
-- A replay needs the whole url, so a dead letter has it: for the owner.
revoke select (url) on net.http_dead_letter from public;
