-- Whose database this is; and grants and encoded parameters as with pg_net.

-- Without a default: nothing is rewritten.
alter table net.pgnetd_installation add column environment text, add column place jsonb;
comment on column net.pgnetd_installation.environment is
  'The environment whose database this is, such as production: a daemon with another one, or with none, sends nothing here. Null for none.';
comment on column net.pgnetd_installation.place is
  'Where a daemon last ran: oids of database and table, the transaction that wrote this row, the cluster. A restored dump, or a database made of a template, is elsewhere. Null before the first.';

-- `grant all on all tables in schema net` by a role that owns none of them is a warning with pg_net, and an error where
-- the role has no right at all on one of them. REFERENCES shows nothing: http_dead_letter has no key to refer to, and
-- those of the other two tell nothing and never change.
grant references on net.http_dead_letter, net.pgnetd_installation, net.pgnetd_parts to public;

-- API: private
-- In a database with SQL_ASCII a character is a byte, and only together with its neighbours may they be UTF-8.
create function net._percent_encode(string text, upper_case boolean) returns text
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
        when upper_case then regexp_replace(upper(encode(convert_to(one.c, encoding), 'hex')), '..', '%\&', 'g')
        else regexp_replace(encode(convert_to(one.c, encoding), 'hex'), '..', '%\&', 'g')
      end, '' order by one.n)
    from unnest(string_to_array(string, null)) with ordinality as one (c, n)
  );
end
$$;
comment on function net._percent_encode(text, boolean) is
  'The text percent-encoded as in RFC 3986, with hex digits in upper or lower case; null for null.';

-- API: private
create or replace function net._urlencode_string(string varchar) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if string collate "C" ~ '^[A-Za-z0-9._~-]*$' then
    return string;
  end if;
  return net._percent_encode(string, true);
end
$$;

-- API: private
-- As libcurl does it to what is added to a query.
create function net._lower_hex(encoded text) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if encoded collate "C" !~ '%([A-F][0-9A-Fa-f]|[0-9a-f][A-F])' then
    return encoded;
  end if;
  return (
    select string_agg(
      case
        when one.n > 1 and one.part collate "C" ~ '^[0-9A-Fa-f]{2}' then lower(left(one.part, 2)) || substr(one.part, 3)
        else one.part
      end, '%' order by one.n)
    from unnest(string_to_array(encoded, '%')) with ordinality as one (part, n)
  );
end
$$;
comment on function net._lower_hex(text) is 'The text with the hex digits of its percent-encoding in lower case.';

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
  if not net._is_plain_url(url) and url collate "C" !~* '^https?://([^/?#@\s]*@)?[^]/?#@:\s]+\]?(:[0-9]*)?([/?#][^ \t\r\n]*)?$' then
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

-- API: private
create or replace function net._url(url text, params jsonb) returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  query text;
begin
  -- As the insert would say it, but without the rest of the row, which may hold secrets.
  if url is null then
    raise exception 'null value in column "url" of relation "http_request_queue" violates not-null constraint'
      using errcode = 'not_null_violation', hint = 'The url is missing; see where it comes from.',
        schema = 'net', table = 'http_request_queue', column = 'url';
  end if;
  if jsonb_typeof(params) <> 'object' then
    raise exception 'params must be a JSON object, not a JSON %', jsonb_typeof(params)
      using errcode = 'invalid_parameter_value', hint = 'Write params as {"name": "value"}.';
  end if;
  query := array_to_string(array(
    select case when one.key collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.key else net._percent_encode(one.key, false) end || '=' ||
      case when one.value collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.value else net._percent_encode(one.value, false) end
    from jsonb_each_text(params) as one
  ), '&');
  if query <> '' and strpos(url, '?') = 0 and strpos(url, '#') = 0 and net._is_plain_url(url) then
    return url || '?' || query;
  end if;
  return net._encode_url_with_params_array(url, array[query]);
end
$$;
