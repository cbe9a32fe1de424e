-- One role may call; nobody but the owner sees the tables. May be applied again and again. The role is in the setting
-- pgnetd.callers; the one that had its place before, or nothing, in pgnetd.former_callers; the schemas of pgnetd in
-- pgnetd.schemas: one supabase_functions is that of somebody else.

-- Callers have no right on the tables, so their functions act with the owner's. All have their search_path pinned.
do $$
declare
  callers text := pg_catalog.current_setting('pgnetd.callers');
  former text := pg_catalog.current_setting('pgnetd.former_callers');
  schemas text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.schemas'), ',');
  space text;
  one record;
begin
  foreach space in array schemas loop
    execute pg_catalog.format('revoke all on schema %I from public', space);
    execute pg_catalog.format('revoke all on all tables in schema %I from public', space);
    execute pg_catalog.format('revoke all on all sequences in schema %I from public', space);
    execute pg_catalog.format('revoke all on all functions in schema %I from public', space);
    if pg_catalog.to_regrole(pg_catalog.quote_ident(former)) is not null then
      execute pg_catalog.format('revoke all on schema %I from %I', space, former);
      execute pg_catalog.format('revoke all on all functions in schema %I from %I', space, former);
    end if;
    execute pg_catalog.format('grant usage on schema %I to %I', space, callers);
  end loop;
  for one in
    select p.oid::pg_catalog.regprocedure as signature
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = any (schemas) and (
      (n.nspname = 'supabase_functions' and p.proname = 'http_request')
      or (n.nspname = 'net' and p.proname in (
        'http_get', 'http_post', 'http_delete', 'http_put', 'http_patch', 'http_head', 'http_request', 'form_urlencode',
        'http_collect_response', '_http_collect_response', '_await_response', '_urlencode_string',
        '_encode_url_with_params_array', 'check_worker_is_up', 'wait_until_running', 'wake')))
  loop
    execute pg_catalog.format('alter function %s security definer', one.signature);
    execute pg_catalog.format('grant execute on function %s to %I', one.signature, callers);
  end loop;
end
$$;
