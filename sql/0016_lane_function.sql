-- The key of a lane, as a function: the indexes by lane call it, and PostgreSQL plans what a function has inside once for each session,
-- but an index's own expression for each statement of a caller.

-- API: private
-- The same as laneOf in src/outbox/lane.ts. Names are qualified in place of a pinned search_path, which each row would pay for.
create function net._lane(url text, lane text) returns text
language plpgsql immutable parallel safe cost 1
as $$
begin
  return pg_catalog.left(
    pg_catalog.lower(pg_catalog.split_part(pg_catalog.split_part(
      pg_catalog.translate(pg_catalog.left(url, 2048), E'?#\\', '///'), '/', 3), '@', -1) collate pg_catalog."C")
      operator(pg_catalog.||) coalesce(' ' operator(pg_catalog.||) pg_catalog.left(lane, 255), ''),
    255);
end
$$;
comment on function net._lane(text, text) is
  'The key of a request''s lane: the authority of its url without user information, and the name that the caller gave, if any.';
-- Whoever writes a row computes its place in the indexes.
grant execute on function net._lane(text, text) to public;
