-- Each request says which installation made it, so that those that a restore adds are known.

alter table net.http_request_queue add column installation_mark integer;
comment on column net.http_request_queue.installation_mark is
  'Which installation made the request: the default is this one''s. One of another is not sent, but made a dead letter; null counts as this one''s.';
comment on table net.http_dead_letter is
  'Requests that used up their tries, or that another installation made, whole, so that net.http_replay can send them again.';
-- As markOf() in src/pg/installation.ts.
do $$ begin
  execute pg_catalog.format('alter table net.http_request_queue alter column installation_mark set default %s', (
    select ('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(id::text, 'UTF8')), 'hex'), 8))::pg_catalog.bit(31)::pg_catalog.int4
    from net.pgnetd_installation));
end $$;
