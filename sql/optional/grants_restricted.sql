-- One role may call; nobody but the owner sees the tables. May be applied again and again. The role is in the setting
-- pgnetd.callers; the one that had its place before, or nothing, in pgnetd.former_callers. The schemas, functions and tables of
-- pgnetd are in settings, too: what others made there is left alone.

-- Callers have no right on the tables, so their functions act with the owner's. All have their search_path pinned.
do $$
declare
  callers text := pg_catalog.current_setting('pgnetd.callers');
  former text := pg_catalog.current_setting('pgnetd.former_callers');
  schemas text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.schemas'), ';');
  functions text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.functions'), ';');
  tables text[] := pg_catalog.string_to_array(pg_catalog.current_setting('pgnetd.tables'), ';');
  has_former boolean := pg_catalog.to_regrole(pg_catalog.quote_ident(former)) is not null;
  one text;
begin
  foreach one in array schemas loop
    execute pg_catalog.format('revoke all on schema %I from public', one);
    if has_former then
      execute pg_catalog.format('revoke all on schema %I from %I', one, former);
    end if;
    execute pg_catalog.format('grant usage on schema %I to %I', one, callers);
  end loop;
  foreach one in array tables loop
    continue when pg_catalog.to_regclass(one) is null;
    execute pg_catalog.format('revoke all on table %s from public', one);
  end loop;
  foreach one in array array['net.http_request_queue_id_seq', 'supabase_functions.hooks_id_seq'] loop
    continue when pg_catalog.to_regclass(one) is null or not pg_catalog.split_part(one, '.', 1) = any (schemas);
    execute pg_catalog.format('revoke all on sequence %s from public', one);
  end loop;
  foreach one in array functions loop
    -- Part of the indexes: whoever may write rows computes it.
    continue when pg_catalog.to_regprocedure(one) is null or one like 'net.\_lane(%';
    execute pg_catalog.format('revoke all on function %s from public', one);
    if has_former then
      execute pg_catalog.format('revoke all on function %s from %I', one, former);
    end if;
    if pg_catalog.split_part(one, '(', 1) in (
      'supabase_functions.http_request', 'net.http_get', 'net.http_post', 'net.http_delete', 'net.http_put', 'net.http_patch',
      'net.http_head', 'net.http_request', 'net.form_urlencode', 'net.http_collect_response', 'net._http_collect_response',
      'net._await_response', 'net._urlencode_string', 'net._encode_url_with_params_array', 'net.check_worker_is_up',
      'net.wait_until_running', 'net.wake')
    then
      execute pg_catalog.format('alter function %s security definer', one);
      execute pg_catalog.format('grant execute on function %s to %I', one, callers);
    end if;
  end loop;
end
$$;
