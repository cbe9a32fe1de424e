-- Asking after the daemon, and telling it something.

-- API: private
-- The leader holds a session advisory lock on its replication connection: classid is "pgnt" in ASCII, objid the shard.
create function net._leader_pid() returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select l.pid
  from pg_locks as l
  where l.locktype = 'advisory' and l.granted and l.classid = 1885826676 and l.objsubid = 2
    and l.database = (select d.oid from pg_database as d where d.datname = current_database())
  order by l.objid
  limit 1
$$;
comment on function net._leader_pid() is
  'The backend of the pgnetd daemon that leads this database; null without one.';

-- API: public
create function net.check_worker_is_up() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if net._leader_pid() is null then
    raise exception 'the pg_net background worker is not up'
      using errcode = 'object_not_in_prerequisite_state',
        detail = format('No pgnetd daemon leads the database %s.', current_database()),
        hint = 'Start pgnetd for this database. Requests made meanwhile wait in net.http_request_queue and are not lost.';
  end if;
end
$$;
comment on function net.check_worker_is_up() is
  'Raises where no pgnetd daemon leads this database.';

-- API: public
create function net.wait_until_running() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  while net._leader_pid() is null loop
    perform pg_sleep(0.05);
  end loop;
end
$$;
comment on function net.wait_until_running() is
  'Waits until a pgnetd daemon leads this database. Ended by statement_timeout.';

-- API: public
-- Not part of the transaction: it acts at once, and also where the transaction is rolled back. Since PostgreSQL 17 it can
-- be flushed right away; before, the end of the caller's transaction does it.
create function net.worker_restart() returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('server_version_num')::integer >= 170000 then
    execute $message$ select pg_logical_emit_message(false, 'pgnetd', '{"command":"restart"}', true) $message$;
  else
    perform pg_logical_emit_message(false, 'pgnetd', '{"command":"restart"}');
    -- With an id of its own the caller's commit flushes the message, which nothing else would do on an idle server.
    perform pg_current_xact_id();
  end if;
  return true;
end
$$;
comment on function net.worker_restart() is
  'Tells the pgnetd daemon to load its configuration and connect anew; returns true at once.';

-- API: public
-- Part of the transaction, so that the daemon looks when the rows inserted before it are committed.
create function net.wake() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_logical_emit_message(true, 'pgnetd', '{"command":"wake"}');
end
$$;
comment on function net.wake() is
  'Tells the pgnetd daemon to look into the outbox after commit; needed only after an update of a waiting row.';
