-- Who may attach the trigger function of the webhooks. May be applied again and again.

-- A trigger with this function sends what its creator likes: who may not call net.http_post may not make one either.
do $$
declare
  one record;
begin
  revoke execute on function supabase_functions.http_request() from public;
  for one in
    select case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as name
    from pg_proc as p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as acl
    where p.oid = 'net.http_post(text, jsonb, jsonb, jsonb, integer)'::regprocedure and acl.privilege_type = 'EXECUTE'
  loop
    execute format('grant execute on function supabase_functions.http_request() to %s', one.name);
  end loop;
end
$$;
