-- Back to what the migrations grant: every role may call, insert, look and cancel. May be applied again and again. The schemas
-- of pgnetd are in the setting pgnetd.schemas: one supabase_functions is that of somebody else.

do $$
declare
  schemas text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.schemas'), ',');
  one record;
begin
  for one in
    select p.oid::pg_catalog.regprocedure as signature
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = any (schemas)
  loop
    if one.signature is distinct from pg_catalog.to_regprocedure('supabase_functions.http_request()') then
      execute pg_catalog.format('alter function %s security invoker', one.signature);
    end if;
    execute pg_catalog.format('grant execute on function %s to public', one.signature);
  end loop;
  if 'supabase_functions' = any (schemas) then
    grant usage on schema supabase_functions to public;
    grant usage, select on sequence supabase_functions.hooks_id_seq to public;
    grant select, insert on supabase_functions.hooks to public;
  end if;
end
$$;
grant usage on schema net to public;
grant usage, select on sequence net.http_request_queue_id_seq to public;
grant select, insert, update, delete, truncate on net.http_request_queue, net._http_response to public;
grant select on net.http_response_detail, net.http_host_settings, net.pgnetd_migrations to public;
grant select (id, method, url, created, attempts, error_code, error_msg, status_code, died) on net.http_dead_letter to public;
grant references on net.http_dead_letter, net.pgnetd_installation, net.pgnetd_parts to public;
