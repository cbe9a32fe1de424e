-- Each dead letter says which installation it is of, as each request does: the id of one that a restore adds is that of another request here.

do $$ begin
  execute pg_catalog.format('alter table net.http_dead_letter add column installation_mark integer default %s', coalesce((
    select pg_catalog.substring(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '^[0-9]+$')
    from pg_catalog.pg_attribute as a join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'net.http_request_queue'::pg_catalog.regclass and a.attname = 'installation_mark'
  ), 'null'));
end $$;
comment on column net.http_dead_letter.installation_mark is
  'Which installation it is of: the default is this one''s. One of another is replayed with a new id; null counts as this one''s.';

-- The table is named with the place: one that inherits from it has other rows at the same places. What is of this installation comes first,
-- since its id was given out here.

-- API: public
create or replace function net.http_replay(request_id bigint)
  returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  own_mark constant integer := (
    select substring(pg_get_expr(d.adbin, d.adrelid), '^[0-9]+$')
    from pg_attribute as a join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'net.http_dead_letter'::regclass and a.attname = 'installation_mark'
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
comment on function net.http_replay(bigint) is
  'Moves a dead letter back into the outbox, with its id and a full number of tries; sent after commit. One of another installation gets a new id.';
