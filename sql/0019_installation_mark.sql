-- Each request says which installation made it, so that those that a restore adds are known.

alter table net.http_request_queue add column installation_mark integer;
comment on column net.http_request_queue.installation_mark is
  'Which installation made the request: the default is this one''s. One of another is not sent, but made a dead letter; null counts as this one''s.';
comment on table net.http_dead_letter is
  'Requests that used up their tries, or that another installation made, whole, so that net.http_replay can send them again.';
-- As markOf() in src/pg/installation.ts; null where the installation has lost its row.
do $$ begin
  execute pg_catalog.format('alter table net.http_request_queue alter column installation_mark set default %s', coalesce((
    select ('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(id::text, 'UTF8')), 'hex'), 8))::pg_catalog.bit(31)::pg_catalog.int4
    from net.pgnetd_installation)::pg_catalog.text, 'null'));
end $$;

-- A request of another installation gets an id of this one: with its own it would have the `Idempotency-Key` of another request here.

-- API: public
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
  select case letter.error_code when 'other_installation' then nextval('net.http_request_queue_id_seq') else letter.id end,
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
