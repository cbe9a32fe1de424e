-- The placeholder that pgnetd puts in the place of pg_net. It creates nothing, so that dropping it drops nothing.
do $$
begin
  if pg_catalog.to_regprocedure('net.http_get(text, jsonb, jsonb, integer)') is null then
    raise warning 'this pg_net is a placeholder, and the functions are not here yet'
      using hint = 'pgnetd migrate installs them; so does a restore that goes on.';
  end if;
end
$$;
