-- Back to what the migrations grant: every role may call, insert, look and cancel. May be applied again and again. The schemas,
-- functions and tables of pgnetd are in settings: what others made there is left alone. Where row security hides requests or
-- answers, every role may read what else tells of them only where row security is on that, too.

do $$
declare
  schemas text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.schemas'), ';');
  functions text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.functions'), ';');
  was_restricted boolean := pg_catalog.current_setting('pgnetd.former_callers') <> '';
  signature text;
  one record;
begin
  foreach signature in array functions loop
    continue when pg_catalog.to_regprocedure(signature) is null;
    -- What was never restricted, its owner may have made security definer.
    if was_restricted and signature <> 'supabase_functions.http_request()' then
      execute pg_catalog.format('alter function %s security invoker', signature);
    end if;
    execute pg_catalog.format('grant execute on function %s to public', signature);
  end loop;
  if 'supabase_functions' = any (schemas) then
    grant usage on schema supabase_functions to public;
    grant usage, select on sequence supabase_functions.hooks_id_seq to public;
    grant select, insert on supabase_functions.hooks to public;
  end if;
  for one in
    select * from (values
      ('net.http_response_detail'::pg_catalog.regclass, ''),
      ('net.http_dead_letter', '(id, method, created, attempts, error_code, error_msg, status_code, died)'),
      ('net.http_lane_activity', '')
    ) as t (name, columns)
    where (select c.relrowsecurity from pg_catalog.pg_class as c where c.oid = t.name) or not exists (
      select from pg_catalog.pg_class as c
      where c.oid in ('net._http_response'::pg_catalog.regclass, 'net.http_request_queue'::pg_catalog.regclass) and c.relrowsecurity)
  loop
    execute pg_catalog.format('grant select %s on %s to public', one.columns, one.name);
  end loop;
end
$$;
grant usage on schema net to public;
grant usage, select on sequence net.http_request_queue_id_seq to public;
grant select, insert, update, delete, truncate on net.http_request_queue, net._http_response to public;
grant select on net.http_host_settings, net.pgnetd_migrations to public;
grant references on net.http_dead_letter, net.pgnetd_installation, net.pgnetd_parts to public;
