-- What databases expect that come from pg_net.

-- FOR ALL TABLES publishes these tables too, and then PostgreSQL refuses to delete rows that nothing identifies. No key does:
-- ids may be given again, and net._http_response is as in pg_net, where an id may even be null.
alter table net._http_response replica identity full;
alter table net.http_response_detail replica identity full;
alter table net.http_dead_letter replica identity full;

-- Scripts of Supabase make these functions security definer with a search_path of their own, in which types of the caller's
-- pg_temp come first: a domain there could run its check with the rights of the owner.
do $$
declare
  one regprocedure;
begin
  for one in
    select p.oid from pg_proc as p
    where p.pronamespace = 'net'::regnamespace and p.proname in ('http_post', 'http_put', 'http_patch', 'http_delete', 'http_request')
      and pg_has_role(p.proowner, 'usage') and strpos(p.prosrc, 'body::text') > 0
  loop
    execute replace(pg_get_functiondef(one), 'body::text', 'body::pg_catalog.text');
  end loop;
end
$$;

-- API: private
-- A table hooks without our helper beside it is Supabase's own, and its rows are Supabase's.
create or replace function net._expire_hooks(ttl_seconds double precision, most integer) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deleted integer;
begin
  if to_regclass('supabase_functions.hooks') is null
    or to_regprocedure('supabase_functions._send(oid, text, jsonb, text[])') is null
  then
    return 0;
  end if;
  delete from supabase_functions.hooks as expired
  using (
    select h.id from supabase_functions.hooks as h
    where h.created_at < statement_timestamp() - make_interval(secs => ttl_seconds)
    order by h.created_at limit most for update skip locked
  ) as old
  where expired.id = old.id;
  get diagnostics deleted = row_count;
  return deleted;
end
$$;

comment on column net.pgnetd_parts.name is 'webhooks, grants, or settings.';
comment on column net.pgnetd_parts.setting is
  'For grants: the one role that may call; null for every role. For settings: those of pg_net that migrate gave this database.';
