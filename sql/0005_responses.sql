-- Collecting answers, and sending dead letters again.

-- API: private
-- One statement, one snapshot: the daemon moves a request from the outbox to its end in one transaction, so it is seen
-- in exactly one place. A request that was made with an id used before counts as the new one.
create function net._request_state(
  request_id bigint,
  out state text,
  out inserted_by xid,
  out status_code integer,
  out headers jsonb,
  out content text,
  out error_msg text
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  select
      case
        when queue.id is not null then 'waiting'
        when response.id is not null then 'answered'
        when dead.id is not null then 'dead'
        else 'unknown'
      end,
      queue.xmin,
      response.status_code,
      response.headers,
      response.content,
      coalesce(response.error_msg, dead.error_msg, 'HTTP status ' || dead.status_code || ' after ' || dead.attempts || ' attempts')
    into state, inserted_by, status_code, headers, content, error_msg
    from (select) as one
    left join net.http_request_queue as queue on queue.id = request_id
    left join lateral (
      select * from net._http_response as r where r.id = request_id order by r.created desc limit 1
    ) as response on true
    left join lateral (
      select d.id, d.status_code, d.error_msg, d.attempts
      from net.http_dead_letter as d where d.id = request_id order by d.died desc limit 1
    ) as dead on response.id is null;
end
$$;
comment on function net._request_state(bigint) is 'Where a request is, and its answer.';

-- API: private
-- A row that is seen though its transaction is in progress is one of our own. Ids of our own subtransactions follow the
-- id of our transaction, so the 64 bits of any of them can be told from the 32 in the row.
create function net._made_by_this_transaction(inserted_by xid) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  own bigint := pg_current_xact_id_if_assigned()::text::bigint;
  ahead bigint;
begin
  if own is null then
    return false;
  end if;
  ahead := (inserted_by::text::bigint - own) & 4294967295;
  return ahead < 2147483648 and pg_xact_status((own + ahead)::text::xid8) = 'in progress';
end
$$;
comment on function net._made_by_this_transaction(xid) is
  'True for the transaction this is called in, its subtransactions included.';

-- API: private
create function net._await_response(request_id bigint) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  now_at record;
  pause double precision := 0.002;
begin
  loop
    now_at := net._request_state(request_id);
    if now_at.state <> 'waiting' then
      return now_at.state <> 'unknown';
    end if;
    if net._made_by_this_transaction(now_at.inserted_by) then
      raise exception 'request % was made in this transaction, so it cannot be answered before its end', request_id
        using errcode = 'active_sql_transaction', hint = 'Commit first, then collect the response in another transaction.';
    end if;
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
      raise exception 'a % transaction never sees the response to request %', current_setting('transaction_isolation'), request_id
        using errcode = 'active_sql_transaction', hint = 'Wait in a read committed transaction.';
    end if;
    perform pg_sleep(pause);
    pause := least(pause * 1.5, 0.05);
  end loop;
end
$$;
comment on function net._await_response(bigint) is
  'Waits until a request has ended: true; false where there is no such request. Ended by statement_timeout.';

-- API: public
create function net._http_collect_response(request_id bigint, async boolean default true) returns net.http_response_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  now_at record;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  now_at := net._request_state(request_id);
  if now_at.state = 'waiting' then
    return ('PENDING', 'request is waiting or in flight', null)::net.http_response_result;
  end if;
  if now_at.state = 'answered' and now_at.error_msg is null then
    return (
      'SUCCESS', 'ok', (now_at.status_code, now_at.headers, now_at.content)::net.http_response
    )::net.http_response_result;
  end if;
  return (
    'ERROR', coalesce(now_at.error_msg, 'request matching request_id not found'), null
  )::net.http_response_result;
end
$$;
comment on function net._http_collect_response(bigint, boolean) is
  'The state of a request and its answer; with async := false waits for it.';

-- API: public
create function net.http_collect_response(request_id bigint, async boolean default true) returns net.http_response_result
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return net._http_collect_response(request_id, async);
end
$$;
comment on function net.http_collect_response(bigint, boolean) is
  'The state of a request and its answer; with async := false waits for it.';

-- API: public
-- The id stays, so that a receiver that knows the Idempotency-Key of the earlier tries takes it for the same request.
create function net.http_replay(request_id bigint) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  replayed bigint;
begin
  with letter as (
    delete from net.http_dead_letter as d
    where d.ctid = (
      select latest.ctid from net.http_dead_letter as latest
      where latest.id = request_id order by latest.died desc limit 1 for update
    )
    returning d.*
  )
  insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds, deduplication_key, options)
  select letter.id, letter.method, letter.url, letter.headers, letter.body, letter.timeout_milliseconds,
    letter.deduplication_key, letter.options
  from letter
  returning id into replayed;
  if replayed is null then
    raise exception 'no dead letter with id %', request_id
      using errcode = 'no_data_found', hint = 'See net.http_dead_letter for those there are.';
  end if;
  return replayed;
end
$$;
comment on function net.http_replay(bigint) is
  'Moves a dead letter back into the outbox, with its id and a full number of tries; sent after commit.';

-- API: private
create function net._expire_hooks(ttl_seconds double precision, most integer) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deleted integer;
begin
  if to_regclass('supabase_functions.hooks') is null then
    return 0;
  end if;
  delete from supabase_functions.hooks as expired
  using (
    select h.id from supabase_functions.hooks as h
    where h.created_at < statement_timestamp() - make_interval(secs => ttl_seconds)
    order by h.created_at limit most for update skip locked
  ) as old
  where expired.id = old.id;
  get diagnostics deleted = row_count;
  return deleted;
end
$$;
comment on function net._expire_hooks(double precision, integer) is
  'Deletes the oldest records of webhooks older than the retention time, so many at most; returns how many. A null time keeps all.';
