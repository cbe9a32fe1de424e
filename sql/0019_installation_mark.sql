-- Each request says which installation made it, so that those that a restore adds are known.

alter table net.http_request_queue add column installation_mark integer;
comment on column net.http_request_queue.installation_mark is
  'A number of the installation that made the request: the daemon sends those with the column''s default, which no other installation has, and those with null.';
do $$ begin
  execute pg_catalog.format('alter table net.http_request_queue alter column installation_mark set default %s',
    1 + pg_catalog.trunc(pg_catalog.random() * 2147483646)::pg_catalog.int4);
end $$;
