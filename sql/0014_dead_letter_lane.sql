-- A request that is sent again stays in its lane.

alter table net.http_dead_letter add column lane text;
comment on column net.http_dead_letter.lane is 'As it was in the outbox.';

create or replace function net.http_replay(request_id bigint)
  returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  replayed bigint;
begin
  with letter as (
    delete from net.http_dead_letter as d
    where d.ctid = (
      select latest.ctid from net.http_dead_letter as latest
      where latest.id = request_id order by latest.died desc limit 1 for update
    )
    returning d.*
  )
  insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds, deduplication_key, options, lane)
  select letter.id, letter.method, letter.url, letter.headers, letter.body, letter.timeout_milliseconds,
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
