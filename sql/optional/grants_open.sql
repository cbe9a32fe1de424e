-- Back to what the migrations grant: every role may call, insert, look and cancel. May be applied again and again.

do $$
declare
  one record;
begin
  for one in
    select p.oid::pg_catalog.regprocedure as signature
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ('net', 'supabase_functions')
  loop
    execute pg_catalog.format('alter function %s security invoker', one.signature);
    execute pg_catalog.format('grant execute on function %s to public', one.signature);
  end loop;
  if pg_catalog.to_regnamespace('supabase_functions') is not null then
    grant usage on schema supabase_functions to public;
    grant usage, select on sequence supabase_functions.hooks_id_seq to public;
    grant select, insert on supabase_functions.hooks to public;
    create or replace function supabase_functions._acts_as_owner() returns boolean
    language sql immutable parallel safe
    as 'select false';
  end if;
end
$$;
grant usage on schema net to public;
grant usage, select on sequence net.http_request_queue_id_seq to public;
grant select, insert, update, delete, truncate on net.http_request_queue, net._http_response to public;
grant select on net.http_response_detail, net.http_host_settings, net.pgnetd_migrations to public;
grant select (id, method, url, created, attempts, error_code, error_msg, status_code, died) on net.http_dead_letter to public;
