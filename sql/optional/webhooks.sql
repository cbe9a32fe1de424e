-- Database webhooks: a trigger function that sends what changed. May be applied again and again, in schema supabase_functions, which is there.

comment on schema supabase_functions is 'Database webhooks, sent by the pgnetd daemon.';

-- API: public
create table if not exists supabase_functions.hooks (
  id bigserial primary key,
  hook_table_id integer not null,
  hook_name text not null,
  created_at timestamptz not null default now(),
  request_id bigint
);
comment on table supabase_functions.hooks is
  'Which trigger made which request; trimmed with the answers.';
comment on column supabase_functions.hooks.id is 'In the order of the calls.';
comment on column supabase_functions.hooks.hook_table_id is 'The oid of the table the trigger is on.';
comment on column supabase_functions.hooks.hook_name is 'The name of the trigger.';
comment on column supabase_functions.hooks.created_at is 'When the transaction that made the request began.';
comment on column supabase_functions.hooks.request_id is 'The request; its answer is in net._http_response.';
alter table supabase_functions.hooks set (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_threshold = -1
);

create index if not exists supabase_functions_hooks_request_id_idx on supabase_functions.hooks (request_id);
comment on index supabase_functions.supabase_functions_hooks_request_id_idx is 'Finds the trigger of a request.';
create index if not exists supabase_functions_hooks_h_table_id_h_name_idx
  on supabase_functions.hooks (hook_table_id, hook_name);
comment on index supabase_functions.supabase_functions_hooks_h_table_id_h_name_idx is 'Finds the requests of a trigger.';
create index if not exists hooks_created_at on supabase_functions.hooks (created_at);
comment on index supabase_functions.hooks_created_at is 'Finds what has expired.';

-- API: private
create or replace function supabase_functions._send(
  table_id oid,
  hook_name text,
  payload jsonb,
  arguments text[]
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Arguments of triggers are strings: a missing one in the middle is written 'null'.
  url text := nullif(arguments[1], 'null');
  method text := nullif(arguments[2], 'null');
  headers jsonb := coalesce(nullif(arguments[3], 'null'), '{"Content-Type": "application/json"}');
  params jsonb := coalesce(nullif(arguments[4], 'null'), '{}');
  timeout_ms integer := coalesce(nullif(arguments[5], 'null'), '1000');
  request_id bigint;
begin
  if url is null then
    raise exception 'url argument is missing' using errcode = 'invalid_parameter_value',
      hint = 'The trigger''s arguments are url, method, headers, params, timeout in milliseconds.';
  end if;
  if method is null then
    raise exception 'method argument is missing' using errcode = 'invalid_parameter_value',
      hint = 'The trigger''s arguments are url, method, headers, params, timeout in milliseconds.';
  end if;
  case upper(method)
    when 'GET' then request_id := net.http_get(url, params, headers, timeout_ms);
    when 'POST' then request_id := net.http_post(url, payload, params, headers, timeout_ms);
    when 'PUT' then request_id := net.http_put(url, payload, params, headers, timeout_ms);
    when 'PATCH' then request_id := net.http_patch(url, payload, params, headers, timeout_ms);
    when 'DELETE' then request_id := net.http_delete(url, params, headers, timeout_ms, payload);
    else
      raise exception 'method argument % is invalid', method using errcode = 'invalid_parameter_value',
        hint = 'Use GET, POST, PUT, PATCH or DELETE.';
  end case;
  insert into supabase_functions.hooks (hook_table_id, hook_name, request_id) values (table_id, hook_name, request_id);
end
$$;
comment on function supabase_functions._send(oid, text, jsonb, text[]) is
  'Queues the request of one webhook and records it.';

-- API: private
-- A cast to json is the code of whoever owns the type, and to_jsonb runs it. Types of composites, arrays and domains count as
-- the types they are made of. Trusted are superusers, the present role itself, and who has its rights by membership.
create or replace function supabase_functions._has_untrusted_type(type_id oid) returns boolean
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  this record;
begin
  if type_id < 16384 then
    return false;
  end if;
  select t.typtype, t.typelem, t.typbasetype, t.typrelid, t.typowner into this from pg_type as t where t.oid = type_id;
  if this.typtype = 'd' then
    return supabase_functions._has_untrusted_type(this.typbasetype);
  elsif this.typelem <> 0 then
    return supabase_functions._has_untrusted_type(this.typelem);
  elsif this.typtype = 'c' then
    return exists (
      select from pg_attribute as a
      where a.attrelid = this.typrelid and a.attnum > 0 and supabase_functions._has_untrusted_type(a.atttypid)
    );
  end if;
  return not pg_has_role(this.typowner, current_user, 'usage');
end
$$;
comment on function supabase_functions._has_untrusted_type(oid) is
  'True where to_jsonb of such a value may run code of somebody who is not to be trusted with the rights of the present role.';

-- API: private
-- Values of such types are sent as the text that PostgreSQL itself makes of them, as to_jsonb does without a cast; only of
-- composites it would make an object.
create or replace function supabase_functions._record(relation oid, fields anyelement) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  made jsonb;
begin
  if fields is not distinct from null then
    return null;
  end if;
  if not exists (
    select from pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and a.atttypid >= 16384
      and supabase_functions._has_untrusted_type(a.atttypid)
  ) then
    return to_jsonb(fields);
  end if;
  execute (
    select format('select pg_catalog.to_jsonb(r) from (select %s) as r', string_agg(
      case
        when supabase_functions._has_untrusted_type(a.atttypid) then format(
          'case when ($1).%1$I is distinct from null then pg_catalog.format(''%%s'', ($1).%1$I)::%2$s end as %1$I',
          a.attname, case when t.typelem <> 0 and t.typtype = 'b' then 'text[]' else 'text' end)
        else format('($1).%1$I as %1$I', a.attname)
      end, ', ' order by a.attnum))
    from pg_attribute as a join pg_type as t on t.oid = a.atttypid
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
  ) into made using fields;
  return made;
end
$$;
comment on function supabase_functions._record(oid, anyelement) is
  'A row as jsonb, without running code that belongs to another role.';

-- API: public
-- Who changes a row needs no right to call, as with Supabase's own function: the trigger acts with the rights of its owner,
-- who is the one that ran migrate. Who may attach it is in webhook_callers.sql.
create or replace function supabase_functions.http_request() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- tg_argv counts from 0.
  arguments text[] := tg_argv[0:5];
  on_error text := coalesce(nullif(tg_argv[5], 'null'), current_setting('pgnetd.webhook_errors', true));
  -- Most tables: to_jsonb runs no code of others then.
  is_plain boolean := not exists (
    select from pg_attribute as a where a.attrelid = tg_relid and a.attnum > 0 and a.atttypid >= 16384
  );
  payload jsonb := jsonb_build_object(
    'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
    'record', case when is_plain then to_jsonb(new) else supabase_functions._record(tg_relid, new) end,
    'old_record', case when is_plain then to_jsonb(old) else supabase_functions._record(tg_relid, old) end);
begin
  if on_error = 'warn' then
    begin
      perform supabase_functions._send(tg_relid, tg_name, payload, arguments);
    exception when others then
      raise warning 'webhook % sent nothing: %', tg_name, sqlerrm
        using errcode = sqlstate, hint = 'Mend the trigger''s arguments; without warn the statement would fail.';
    end;
  else
    perform supabase_functions._send(tg_relid, tg_name, payload, arguments);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  return new;
end
$$;
comment on function supabase_functions.http_request() is
  'Trigger function: sends what changed to a url. Arguments: url, method, headers, params, timeout in milliseconds, and warn to warn instead of failing.';

drop function if exists supabase_functions._acts_as_owner();

grant usage on schema supabase_functions to public;
grant usage, select on sequence supabase_functions.hooks_id_seq to public;
grant select, insert on supabase_functions.hooks to public;
