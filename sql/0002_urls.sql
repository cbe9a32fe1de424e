-- URLs: percent-encoding, adding parameters, and telling good ones from bad.

-- API: private
-- Per character: [A-Za-z0-9._~-] stays, everything else becomes its UTF-8 bytes in hex (RFC 3986, section 2). In a
-- database with SQL_ASCII a character is a byte, and only together with its neighbours may they be UTF-8.
create function net._urlencode_string(string varchar) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  encoding text := case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end;
begin
  if string collate "C" ~ '^[A-Za-z0-9._~-]*$' then
    return string;
  end if;
  return (
    select string_agg(
      case
        when one.c collate "C" ~ '^[A-Za-z0-9._~-]$' then one.c
        else regexp_replace(upper(encode(convert_to(one.c, encoding), 'hex')), '..', '%\&', 'g')
      end, '' order by one.n)
    from unnest(string_to_array(string::text, null)) with ordinality as one (c, n)
  );
end
$$;
comment on function net._urlencode_string(varchar) is
  'The text percent-encoded as in RFC 3986; null for null.';

-- API: private
-- What a plain url is: cheap to tell, and inlined where it is called. The character after // must not end the host.
create function net._is_plain_url(url text) returns boolean
language sql immutable parallel safe
as $$
  select (url like 'http://%' or url like 'https://%')
    and pg_catalog.ascii(pg_catalog.split_part(url, '/', 3)) not in (0, 35, 58, 63)
    and pg_catalog.strpos(url, ' ') = 0
    and pg_catalog.strpos(url, E'\n') = 0
    and pg_catalog.strpos(url, E'\r') = 0
    and pg_catalog.strpos(url, E'\t') = 0
$$;
comment on function net._is_plain_url(text) is
  'True where a url is http or https, has a host and no white space; the odd ones get a closer look.';

-- API: private
create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  query text := array_to_string(params_array, '&');
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
comment on function net._encode_url_with_params_array(text, text[]) is
  'The url with key=value pairs, encoded already, added to whatever query it has; raises where the url is not one.';

-- API: private
create function net._url(url text, params jsonb) returns text
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
    select case when one.key collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.key else net._urlencode_string(one.key) end || '=' ||
      case when one.value collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.value else net._urlencode_string(one.value) end
    from jsonb_each_text(params) as one
  ), '&');
  if query <> '' and strpos(url, '?') = 0 and strpos(url, '#') = 0 and net._is_plain_url(url) then
    return url || '?' || query;
  end if;
  return net._encode_url_with_params_array(url, array[query]);
end
$$;
comment on function net._url(text, jsonb) is
  'The url as it is put into the outbox: checked, with its parameters; parameters with a null value are left out.';

-- API: public
create function net.form_urlencode(fields jsonb) returns text
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(fields) <> 'object' then
    raise exception 'fields must be a JSON object, not a JSON %', jsonb_typeof(fields)
      using errcode = 'invalid_parameter_value', hint = 'Write fields as {"name": "value", "several": ["a", "b"]}.';
  end if;
  return (
    select coalesce(string_agg(
      replace(net._urlencode_string(field.key), '%20', '+') || '=' || replace(net._urlencode_string(item.value), '%20', '+'),
      '&' order by field.n, item.n), '')
    from jsonb_each(fields) with ordinality as field (key, value, n),
      jsonb_array_elements_text(
        case jsonb_typeof(field.value) when 'array' then field.value else jsonb_build_array(field.value) end
      ) with ordinality as item (value, n)
    where item.value is not null
  );
end
$$;
comment on function net.form_urlencode(jsonb) is
  'A JSON object as application/x-www-form-urlencoded text; an array repeats its name, null is left out.';
