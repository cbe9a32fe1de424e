-- What the migrations and the optional webhooks install, for review. A test compares it with a database, and so does pgnetd doctor.
-- After a change of sql/: UPDATE_SNAPSHOT=1 npx vitest run test/integration/migrate-snapshot.test.ts

-- schemas
schema net | Asynchronous HTTP requests from SQL, sent by the pgnetd daemon. | public: usage
schema supabase_functions | Database webhooks, sent by the pgnetd daemon. | public: usage

-- types
type net.http_method | A request method: GET, POST, PUT, PATCH, DELETE or HEAD, in upper or lower case. | domain over text http_method_is_known CHECK ((upper((VALUE COLLATE "C")) = ANY (ARRAY['GET'::text, 'POST'::text, 'PUT'::text, 'PATCH'::text, 'DELETE'::text, 'HEAD'::text])))
type net.http_response | An answer: its status, its headers, its content as text. | composite status_code integer, headers jsonb, body text
type net.http_response_result | What net.http_collect_response tells: the state, a message, and the answer when there is one. | composite status net.request_status, message text, response net.http_response
type net.request_status | How far a request is: PENDING while waiting or in flight, SUCCESS with any answer, ERROR without one. | enum PENDING, SUCCESS, ERROR

-- tables
table net._http_response | logged, identified by all columns | One row per request that ended, kept for the retention time (6 hours unless set). | autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=5000, toast.autovacuum_vacuum_cost_delay=0, toast.autovacuum_vacuum_insert_threshold=-1, toast.autovacuum_vacuum_scale_factor=0.05, toast.autovacuum_vacuum_threshold=5000 | public: delete, insert, select, truncate, update
table net.http_dead_letter | logged, identified by all columns | Requests that used up their tries, or that another installation made, whole, so that net.http_replay can send them again. |  | public: references
table net.http_host_settings | logged | Limits for one destination host each; the daemon takes a committed change over at once. |  | public: select
table net.http_lane_activity | unlogged | What the leading daemon has in memory by lane, written every five seconds while that is something, the busiest 1,000 lanes; net.http_lane_status() reads it. |  | public: select
table net.http_request_queue | logged | The outbox: one row per request that has not ended. Insert to send after commit, delete or truncate to cancel what was not sent yet. | autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=20000, autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, toast.autovacuum_vacuum_cost_delay=0, toast.autovacuum_vacuum_insert_threshold=-1, toast.autovacuum_vacuum_scale_factor=0, toast.autovacuum_vacuum_threshold=5000 | public: delete, insert, select, truncate, update
sequence net.http_request_queue_id_seq | logged | Request ids. |  | public: select, usage
table net.http_response_detail | logged, identified by all columns | What net._http_response has no column for; joined to it by id and kept for the same time. | autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_threshold=-1, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=5000, toast.autovacuum_vacuum_cost_delay=0, toast.autovacuum_vacuum_insert_threshold=-1, toast.autovacuum_vacuum_scale_factor=0.05, toast.autovacuum_vacuum_threshold=5000 | public: select
table net.pgnetd_installation | logged, identified by all columns | What tells the requests of this database from those of every other. |  | public: references
table net.pgnetd_migrations | logged | The schema versions this database has been through. |  | public: select
table net.pgnetd_parts | logged, identified by all columns | Optional parts that were asked for: pgnetd migrate applies them again after each upgrade. |  | public: references
table supabase_functions.hooks | logged | Which trigger made which request; trimmed with the answers. | autovacuum_vacuum_insert_threshold=-1, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=5000 | public: insert, select
sequence supabase_functions.hooks_id_seq | logged |  |  | public: select, usage

-- columns
column net._http_response.id | 1 bigint | The request id. | -
column net._http_response.status_code | 2 integer | The HTTP status; null without an answer. | -
column net._http_response.content_type | 3 text | The Content-Type of the answer as sent. | -
column net._http_response.headers | 4 jsonb | Header names in the server's own case; of repeated ones the last (all of them: net.http_response_detail). | -
column net._http_response.content | 5 text | The content as text, decoded by its charset. | -
column net._http_response.timed_out | 6 boolean | True when the time was up before the answer was complete; false otherwise. | -
column net._http_response.error_msg | 7 text | Why there is no answer; null with one. | -
column net._http_response.created | 8 timestamp with time zone not null default now() | When the request ended. | -
column net.http_dead_letter.id | 1 bigint not null | The request id. | public: select
column net.http_dead_letter.method | 2 text not null | As it was in the outbox. | public: select
column net.http_dead_letter.url | 3 text not null | As it was in the outbox. | -
column net.http_dead_letter.headers | 4 jsonb | As they were in the outbox. | -
column net.http_dead_letter.body | 5 bytea | As it was in the outbox. | -
column net.http_dead_letter.timeout_milliseconds | 6 integer not null | As it was in the outbox. | -
column net.http_dead_letter.created | 7 timestamp with time zone not null | When the transaction that made the request began. | public: select
column net.http_dead_letter.next_attempt_at | 8 timestamp with time zone | When the last try was due; null where there was one try only. | -
column net.http_dead_letter.attempts | 9 integer not null | Tries in all. | public: select
column net.http_dead_letter.deduplication_key | 10 text | As it was in the outbox. | -
column net.http_dead_letter.options | 11 jsonb | As they were in the outbox. | -
column net.http_dead_letter.error_code | 12 text | A short word for the last failure; null where the last answer was an HTTP error. | public: select
column net.http_dead_letter.error_msg | 13 text | The last failure in words; null where the last answer was an HTTP error. | public: select
column net.http_dead_letter.status_code | 14 integer | The last HTTP status; null where the last try got no answer. | public: select
column net.http_dead_letter.died | 15 timestamp with time zone not null default now() | When the last try ended. | public: select
column net.http_dead_letter.lane | 16 text | As it was in the outbox. | -
column net.http_dead_letter.installation_mark | 17 integer default of the installation | Which installation it is of: the default is this one's. One of another is replayed with a new id; null counts as this one's. | -
column net.http_host_settings.host | 1 text not null | The host as in the url: a name in lower case, or an address; no scheme, no port. | -
column net.http_host_settings.rate_per_second | 2 numeric | Requests that may start per second, above 0 and at most 100000; null for the configured default. | -
column net.http_host_settings.concurrency | 3 integer | Requests that may be in flight at once; null for the configured default. | -
column net.http_host_settings.paused | 4 boolean not null default false | True: nothing is sent to this host; its requests wait. | -
column net.http_lane_activity.lane | 1 text not null | The lane's key: destination, and the name that callers gave. | -
column net.http_lane_activity.host | 2 text not null | The host as in net.http_host_settings. | -
column net.http_lane_activity.queued | 3 integer not null | Requests in memory that have not started. | -
column net.http_lane_activity.in_flight | 4 integer not null | Requests that have started and not ended. | -
column net.http_lane_activity.is_behind | 5 boolean not null | The outbox may have requests of the lane that are not in memory. | -
column net.http_lane_activity.is_paused | 6 boolean not null | The host is paused by net.http_host_settings. | -
column net.http_lane_activity.last_error | 7 text | Code of the last failure of the host, or its status from 500 on; null without one since the host was last idle for long. | -
column net.http_lane_activity.last_error_at | 8 timestamp with time zone | When that was. | -
column net.http_lane_activity.reported | 9 timestamp with time zone not null default now() | When the daemon wrote the row. | -
column net.http_request_queue.id | 1 bigint not null default nextval('net.http_request_queue_id_seq'::regclass) | The request id that the functions return. | -
column net.http_request_queue.method | 2 net.http_method not null | GET, POST, PUT, PATCH, DELETE or HEAD. | -
column net.http_request_queue.url | 3 text not null | Absolute, http or https, with its query. | -
column net.http_request_queue.headers | 4 jsonb | A flat JSON object of header names and values; null for none. | -
column net.http_request_queue.body | 5 bytea | The bytes to send; null for no body. | -
column net.http_request_queue.timeout_milliseconds | 6 integer not null | From the moment of sending to the last byte of the answer; 0, and more than http.maxTimeoutMs (ten minutes unless set), is http.maxTimeoutMs. | -
column net.http_request_queue.created | 7 timestamp with time zone not null default now() | When the transaction that made the request began. | -
column net.http_request_queue.next_attempt_at | 8 timestamp with time zone | Null: send at once. Set: wait until then, for a delay the caller asked for or before a retry. | -
column net.http_request_queue.attempts | 9 integer not null default 0 | Tries that ended without a final answer. | -
column net.http_request_queue.deduplication_key | 10 text | No two requests with the same key wait at the same time; null for no such rule. | -
column net.http_request_queue.options | 11 jsonb | Null for the defaults, or an object with max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep. | -
column net.http_request_queue.lane | 12 text | A name that groups requests to one destination: those of other names have their turns beside them. Null for none. | -
column net.http_request_queue.installation_mark | 13 integer default of the installation | Which installation made the request: the default is this one's. One of another is not sent, but made a dead letter; null counts as this one's. | -
column net.http_response_detail.id | 1 bigint not null | The request id. | -
column net.http_response_detail.method | 2 text not null | The method of the request. | -
column net.http_response_detail.url | 3 text not null | The url of the request without user, password and fragment, and with ?*** in place of its query. | -
column net.http_response_detail.attempts | 4 integer not null | Tries in all, the last included. | -
column net.http_response_detail.error_code | 5 text | A short word for why there is no answer, such as timeout, dns, connect, tls; null with one. | -
column net.http_response_detail.total_ms | 6 double precision | The last try from sending to end, in milliseconds. | -
column net.http_response_detail.dns_ms | 7 double precision | Name resolution in milliseconds. | -
column net.http_response_detail.connect_ms | 8 double precision | TCP and TLS handshakes in milliseconds. | -
column net.http_response_detail.exchange_ms | 9 double precision | From the connection to the end of the answer, in milliseconds. | -
column net.http_response_detail.response_headers | 10 jsonb | Every header in order, as an array of [name, value] pairs; null where net._http_response.headers lost none. | -
column net.http_response_detail.content_bytes | 11 bytea | The content as received, where text cannot show it without loss; otherwise null. | -
column net.http_response_detail.enqueued | 12 timestamp with time zone not null | When the transaction that made the request began. | -
column net.http_response_detail.created | 13 timestamp with time zone not null default now() | When the request ended. | -
column net.pgnetd_installation.id | 1 uuid not null default gen_random_uuid() | First part of the Idempotency-Key of every request; the same after restarts, failover, dump and restore. | -
column net.pgnetd_installation.only_row | 2 boolean not null default true | Always true: the table has one row. | -
column net.pgnetd_installation.environment | 3 text | The environment whose database this is, such as production: a daemon with another one, or with none, sends nothing here. Null for none. | -
column net.pgnetd_installation.place | 4 jsonb | Where a daemon last ran: oids of database and table, the transaction that wrote this row, the cluster. A restored dump, or a database made of a template, is elsewhere. Null before the first. | -
column net.pgnetd_migrations.version | 1 integer not null | The number of the migration. | -
column net.pgnetd_migrations.name | 2 text not null | Its file. | -
column net.pgnetd_migrations.applied | 3 timestamp with time zone not null default now() | When it was committed. | -
column net.pgnetd_parts.name | 1 text not null | webhooks, grants, or settings. | -
column net.pgnetd_parts.setting | 2 text | For grants: the one role that may call; null for every role. For settings: those of pg_net that migrate gave this database. | -
column supabase_functions.hooks.id | 1 bigint not null default nextval('supabase_functions.hooks_id_seq'::regclass) | In the order of the calls. | -
column supabase_functions.hooks.hook_table_id | 2 integer not null | The oid of the table the trigger is on. | -
column supabase_functions.hooks.hook_name | 3 text not null | The name of the trigger. | -
column supabase_functions.hooks.created_at | 4 timestamp with time zone not null default now() | When the transaction that made the request began. | -
column supabase_functions.hooks.request_id | 5 bigint | The request; its answer is in net._http_response. | -

-- indexes
index CREATE INDEX _http_response_created_idx ON net._http_response USING btree (created) | Finds what has expired.
index CREATE INDEX _http_response_id_idx ON net._http_response USING btree (id) | Finds the answer to a request.
index CREATE INDEX http_dead_letter_died ON net.http_dead_letter USING btree (died) | Finds what has expired.
index CREATE INDEX http_dead_letter_id ON net.http_dead_letter USING btree (id) | Finds a dead letter by its request id.
index CREATE UNIQUE INDEX http_host_settings_pkey ON net.http_host_settings USING btree (host) | 
index CREATE UNIQUE INDEX http_request_queue_deduplication ON net.http_request_queue USING btree (deduplication_key) WHERE (deduplication_key IS NOT NULL) | One waiting request per deduplication key.
index CREATE INDEX http_request_queue_lane ON net.http_request_queue USING btree (net._lane(url, lane) COLLATE "C", id) WHERE (next_attempt_at IS NULL) | What may be sent now, by lane, lowest id first.
index CREATE INDEX http_request_queue_lane_deferred ON net.http_request_queue USING btree (net._lane(url, lane) COLLATE "C", COALESCE(next_attempt_at, 'infinity'::timestamp with time zone)) WHERE (next_attempt_at IS NOT NULL) | What waits for its time, by lane, earliest first.
index CREATE INDEX http_request_queue_parked ON net.http_request_queue USING btree (next_attempt_at) WHERE (next_attempt_at IS NOT NULL) | What waits for its time, earliest first.
index CREATE UNIQUE INDEX http_request_queue_pkey ON net.http_request_queue USING btree (id) | 
index CREATE INDEX http_response_detail_created ON net.http_response_detail USING btree (created) | Finds what has expired.
index CREATE INDEX http_response_detail_id ON net.http_response_detail USING btree (id) | Finds the detail of a request.
index CREATE UNIQUE INDEX pgnetd_installation_one_row ON net.pgnetd_installation USING btree (only_row) WHERE only_row | One row. Partial, so that no foreign key can refer to it.
index CREATE UNIQUE INDEX pgnetd_migrations_pkey ON net.pgnetd_migrations USING btree (version) | 
index CREATE UNIQUE INDEX pgnetd_parts_name ON net.pgnetd_parts USING btree (name) WHERE (name IS NOT NULL) | One row per part. Partial, so that no foreign key can refer to it.
index CREATE INDEX hooks_created_at ON supabase_functions.hooks USING btree (created_at) | Finds what has expired.
index CREATE UNIQUE INDEX hooks_pkey ON supabase_functions.hooks USING btree (id) | 
index CREATE INDEX supabase_functions_hooks_h_table_id_h_name_idx ON supabase_functions.hooks USING btree (hook_table_id, hook_name) | Finds the requests of a trigger.
index CREATE INDEX supabase_functions_hooks_request_id_idx ON supabase_functions.hooks USING btree (request_id) | Finds the trigger of a request.

-- constraints
constraint concurrency_is_above_zero on net.http_host_settings | CHECK ((concurrency > 0))
constraint host_is_a_name_without_scheme_port_or_path on net.http_host_settings | CHECK (((host <> ''::text) AND (host !~ '[/@?#\s]'::text) AND (host !~ ':[0-9]+$'::text)))
constraint host_is_lower_case on net.http_host_settings | CHECK ((host = lower(host)))
constraint http_host_settings_pkey on net.http_host_settings | PRIMARY KEY (host)
constraint rate_per_second_is_above_zero on net.http_host_settings | CHECK ((rate_per_second > (0)::numeric))
constraint rate_per_second_is_at_most_100000 on net.http_host_settings | CHECK ((rate_per_second <= (100000)::numeric))
constraint http_request_queue_pkey on net.http_request_queue | PRIMARY KEY (id)
constraint there_is_one_installation on net.pgnetd_installation | CHECK (only_row)
constraint pgnetd_migrations_pkey on net.pgnetd_migrations | PRIMARY KEY (version)
constraint hooks_pkey on supabase_functions.hooks | PRIMARY KEY (id)

-- functions
CREATE OR REPLACE FUNCTION net._await_response(request_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| Waits until a request has ended: true; false where there is no such request. Ended by statement_timeout. | -

CREATE OR REPLACE FUNCTION net._check_request(headers jsonb, timeout_milliseconds integer)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if jsonb_typeof(headers) <> 'object' then
    raise exception 'headers must be a JSON object, not a JSON %', jsonb_typeof(headers)
      using errcode = 'invalid_parameter_value', hint = 'Write headers as {"Name": "value"}.';
  end if;
  if timeout_milliseconds is null then
    raise exception 'null value in column "timeout_milliseconds" of relation "http_request_queue" violates not-null constraint'
      using errcode = 'not_null_violation', hint = 'Leave it out for 5000 milliseconds.',
        schema = 'net', table = 'http_request_queue', column = 'timeout_milliseconds';
  end if;
  if timeout_milliseconds < 0 then
    raise exception 'timeout_milliseconds must not be negative, got %', timeout_milliseconds
      using errcode = 'invalid_parameter_value', hint = 'It is in milliseconds: 5000 is five seconds.';
  end if;
end
$function$
| Raises where headers or timeout are no such. | -

CREATE OR REPLACE FUNCTION net._content_type_headers(headers jsonb, content_type text, usual text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  name text;
begin
  if headers is null then
    return case
      when coalesce(content_type, usual) is not null then jsonb_build_object('Content-Type', coalesce(content_type, usual))
    end;
  end if;
  if jsonb_typeof(headers) <> 'object' then
    return headers;
  end if;
  name := (select one.key from jsonb_object_keys(headers) as one (key) where lower(one.key collate "C") = 'content-type' limit 1);
  if content_type is null and (name is not null or usual is null) then
    return headers;
  end if;
  return headers - coalesce(name, '') || jsonb_build_object('Content-Type', coalesce(content_type, usual));
end
$function$
| The headers with the asked content type, or with the usual one where there is none. | -

CREATE OR REPLACE FUNCTION net._due(delay interval, send_at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if delay is not null and send_at is not null then
    raise exception 'delay and send_at exclude each other'
      using errcode = 'invalid_parameter_value', hint = 'Give one of them.';
  end if;
  if delay < interval '0' then
    raise exception 'delay must not be negative, got %', delay
      using errcode = 'invalid_parameter_value', hint = 'Leave it out to send at once.';
  end if;
  send_at := coalesce(send_at, clock_timestamp() + delay);
  if not isfinite(send_at) then
    raise exception 'send_at must be a time, got %', send_at
      using errcode = 'invalid_parameter_value', hint = 'Set paused in net.http_host_settings to hold requests back.';
  end if;
  return case when send_at > clock_timestamp() then send_at end;
end
$function$
| When to send; null for at once. | -

CREATE OR REPLACE FUNCTION net._encode_url_with_params_array(url text, params_array text[])
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  query pg_catalog.text := net._lower_hex(array_to_string(params_array, '&'));
  fragment pg_catalog.text := '';
  cut integer;
begin
  if not net._is_plain_url(url) and url collate "C" !~* E'^https?://([^/?#@\\s]*@)?[^]/?#@:\\s]+\\]?(:[0-9]*)?([/?#][^ \\t\\r\\n]*)?$' then
    if url collate "C" ~* '^[a-z][a-z0-9+.-]*:' and url !~* '^https?:' then
      raise exception 'Unsupported URL scheme: "%"', left(url, 500)
        using errcode = 'invalid_parameter_value', hint = 'A URL begins with http:// or https://.';
    end if;
    raise exception 'invalid URL "%"', left(url, 500)
      using errcode = 'invalid_parameter_value',
        hint = 'A URL begins with http:// or https:// and a host; white space in it is written %20.';
  end if;
  if query = '' then
    return url;
  end if;
  cut := strpos(url, '#');
  if cut > 0 then
    fragment := substr(url, cut);
    url := left(url, cut - 1);
  end if;
  return url
    || case when strpos(url, '?') = 0 then '?' when right(url, 1) in ('?', '&') then '' else '&' end
    || query || fragment;
end
$function$
| The url with key=value pairs, encoded already, added to whatever query it has; raises where the url is not one. | -

CREATE OR REPLACE FUNCTION net._enqueue(method text, url text, params jsonb, headers jsonb, body bytea, timeout_milliseconds integer, next_attempt_at timestamp with time zone, deduplication_key text, options jsonb, lane text DEFAULT NULL::text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
-- A conflict target cannot be qualified; everything else that has the name of a column is.
#variable_conflict use_column
declare
  request_id bigint;
begin
  method := upper(method collate "C");
  if (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD')) is not true then
    raise exception 'unsupported method "%"', coalesce(left(method, 100), 'null')
      using errcode = 'invalid_parameter_value', hint = 'Use GET, POST, PUT, PATCH, DELETE or HEAD.';
  end if;
  if body is not null and method in ('GET', 'HEAD') then
    raise exception 'a % request has no body', method
      using errcode = 'invalid_parameter_value', hint = 'Leave body out; values for the query go into params.';
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if ((params is null or params = '{}') and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  if deduplication_key is null then
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, next_attempt_at, options, lane)
    values (method, url, headers, body, timeout_milliseconds, next_attempt_at, options, lane)
    returning id into request_id;
    return request_id;
  end if;
  -- The request that has the key may end between the two statements: then the key is free again. A trigger that suppresses the insert, or a
  -- policy that hides the request with the key, does the same without end: the call makes no request, and has no id to return.
  for attempt in 1..100 loop
    insert into net.http_request_queue as queue
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    values
      (method, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options, lane)
    on conflict (deduplication_key) where deduplication_key is not null do nothing
    returning queue.id into request_id;
    exit when request_id is not null;
    select queue.id into request_id from net.http_request_queue as queue
    where queue.deduplication_key = _enqueue.deduplication_key;
    exit when request_id is not null;
  end loop;
  return request_id;
end
$function$
| Puts a checked request into the outbox, or finds the one waiting with the same deduplication key; returns its id. | -

CREATE OR REPLACE FUNCTION net._expire_hooks(ttl_seconds double precision, most integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  deleted integer;
begin
  if to_regclass('supabase_functions.hooks') is null
    or to_regprocedure('supabase_functions._send(oid, text, jsonb, text[])') is null
  then
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
$function$
| Deletes the oldest records of webhooks older than the retention time, so many at most; returns how many. A null time keeps all. | -

CREATE OR REPLACE FUNCTION net._http_collect_response(request_id bigint, async boolean DEFAULT true)
 RETURNS net.http_response_result
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| The state of a request and its answer; with async := false waits for it. | -

CREATE OR REPLACE FUNCTION net._is_plain_url(url text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select (url like 'http://%' or url like 'https://%')
    and pg_catalog.ascii(pg_catalog.split_part(url, '/', 3)) not in (0, 35, 58, 63)
    and pg_catalog.strpos(url, ' ') = 0
    and pg_catalog.strpos(url, E'\n') = 0
    and pg_catalog.strpos(url, E'\r') = 0
    and pg_catalog.strpos(url, E'\t') = 0
$function$
| True where a url is http or https, has a host and no white space; the odd ones get a closer look. | -

CREATE OR REPLACE FUNCTION net._json_headers(headers jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  content_type text;
begin
  if headers is null then
    return '{"Content-Type": "application/json"}';
  end if;
  if jsonb_typeof(headers) <> 'object' then
    return headers;
  end if;
  if strpos(lower(headers::text collate "C"), '"content-type"') = 0 then
    return headers || '{"Content-Type": "application/json"}';
  end if;
  content_type := (select one.value from jsonb_each_text(headers) as one where lower(one.key collate "C") = 'content-type' limit 1);
  if content_type is null then
    return headers || '{"Content-Type": "application/json"}';
  end if;
  if lower(trim(split_part(content_type, ';', 1)) collate "C") <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"'
      using errcode = 'invalid_parameter_value',
        detail = format('It is "%s".', left(content_type, 200)),
        hint = 'Use net.http_request to send a body of any other type.';
  end if;
  return headers;
end
$function$
| The headers for a JSON body: with a Content-Type where it is missing; raises where it is another. | -

CREATE OR REPLACE FUNCTION net._lane(url text, lane text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE COST 1
AS $function$
begin
  return pg_catalog.left(
    pg_catalog.lower(pg_catalog.split_part(pg_catalog.split_part(
      pg_catalog.translate(pg_catalog.left(url, 2048), E'?#\\', '///'), '/', 3), '@', -1) collate pg_catalog."C")
      operator(pg_catalog.||) coalesce(' ' operator(pg_catalog.||) pg_catalog.left(lane, 255), ''),
    255);
end
$function$
| The key of a request's lane: the authority of its url without user information, and the name that the caller gave, if any. | public: execute

CREATE OR REPLACE FUNCTION net._leader_pid()
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select l.pid
  from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
  where l.locktype = 'advisory' and l.granted and l.classid in (1885826676, 1885826664) and l.objsubid = 2
    and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    and has_table_privilege(a.usesysid, 'net.http_response_detail', 'insert')
  order by l.classid desc, l.objid
  limit 1
$function$
| The backend of the pgnetd daemon that leads this database; null without one. | -

CREATE OR REPLACE FUNCTION net._lower_hex(encoded text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if encoded collate "C" !~ '%([A-F][0-9A-Fa-f]|[0-9a-f][A-F])' then
    return encoded;
  end if;
  return (
    select string_agg(
      case
        when one.n > 1 and one.part collate "C" ~ '^[0-9A-Fa-f]{2}' then lower(left(one.part, 2)) || substr(one.part, 3)
        else one.part
      end, '%' order by one.n)
    from unnest(string_to_array(encoded, '%')) with ordinality as one (part, n)
  );
end
$function$
| The text with the hex digits of its percent-encoding in lower case. | -

CREATE OR REPLACE FUNCTION net._made_by_this_transaction(inserted_by xid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| True for the transaction this is called in, its subtransactions included. | -

CREATE OR REPLACE FUNCTION net._percent_encode(string text, upper_case boolean)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  encoding text := case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end;
begin
  return (
    select string_agg(
      case
        when one.c collate "C" ~ '^[A-Za-z0-9._~-]$' then one.c
        when upper_case then regexp_replace(upper(encode(convert_to(one.c, encoding), 'hex')), '..', E'%\\&', 'g')
        else regexp_replace(encode(convert_to(one.c, encoding), 'hex'), '..', E'%\\&', 'g')
      end, '' order by one.n)
    from unnest(string_to_array(string, null)) with ordinality as one (c, n)
  );
end
$function$
| The text percent-encoded as in RFC 3986, with hex digits in upper or lower case; null for null. | -

CREATE OR REPLACE FUNCTION net._request_options(max_attempts integer, retry_first_ms integer, retry_max_ms integer, max_redirects integer, keep text)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  wrong text := case
    when max_attempts not between 1 and 1000 then format('max_attempts must be from 1 to 1000, got %s', max_attempts)
    when retry_first_ms < 0 then format('retry_first_ms must be 0 or more, got %s', retry_first_ms)
    when retry_max_ms < coalesce(retry_first_ms, 0)
      then format('retry_max_ms must be %s or more, got %s', coalesce(retry_first_ms, 0), retry_max_ms)
    when max_redirects not between 0 and 50 then format('max_redirects must be from 0 to 50, got %s', max_redirects)
    when keep not in ('all', 'headers', 'status') then format('keep must be all, headers or status, got %L', keep)
  end;
begin
  if wrong is not null then
    raise exception '%', wrong using errcode = 'invalid_parameter_value',
      hint = 'Leave an argument out, or give null, for the default.';
  end if;
  return nullif(jsonb_strip_nulls(jsonb_build_object(
    'max_attempts', max_attempts, 'retry_first_ms', retry_first_ms, 'retry_max_ms', retry_max_ms,
    'max_redirects', max_redirects, 'keep', keep)), '{}');
end
$function$
| The arguments as the options of an outbox row; null where all are null; raises where one is out of range. | -

CREATE OR REPLACE FUNCTION net._request_state(request_id bigint, OUT state text, OUT inserted_by xid, OUT status_code integer, OUT headers jsonb, OUT content text, OUT error_msg text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if not has_column_privilege('net.http_dead_letter', 'error_msg', 'select') then
    select
        case when queue.id is not null then 'waiting' when response.id is not null then 'answered' else 'unknown' end,
        queue.xmin, response.status_code, response.headers, response.content, response.error_msg
      into state, inserted_by, status_code, headers, content, error_msg
      from (select) as one
      left join net.http_request_queue as queue on queue.id = request_id
      left join lateral (
        select * from net._http_response as r where r.id = request_id order by r.created desc limit 1
      ) as response on true;
    return;
  end if;
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
$function$
| Where a request is, and its answer. | -

CREATE OR REPLACE FUNCTION net._url(url text, params jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  query text;
begin
  -- As the insert would say it, but without the rest of the row, which may hold secrets.
  if url is null then
    raise exception 'null value in column "url" of relation "http_request_queue" violates not-null constraint'
      using errcode = 'not_null_violation', hint = 'The url is missing; see where it comes from.',
        schema = 'net', table = 'http_request_queue', column = 'url';
  end if;
  if jsonb_typeof(params) <> 'object' then
    raise exception 'params must be a JSON object, not a JSON %', jsonb_typeof(params)
      using errcode = 'invalid_parameter_value', hint = 'Write params as {"name": "value"}.';
  end if;
  query := array_to_string(array(
    select case when one.key collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.key else net._percent_encode(one.key, false) end || '=' ||
      case when one.value collate "C" ~ '^[A-Za-z0-9._~-]*$' then one.value else net._percent_encode(one.value, false) end
    from jsonb_each_text(params) as one
  ), '&');
  if query <> '' and strpos(url, '?') = 0 and strpos(url, '#') = 0 and net._is_plain_url(url) then
    return url || '?' || query;
  end if;
  return net._encode_url_with_params_array(url, array[query]);
end
$function$
| The url as it is put into the outbox: checked, with its parameters; parameters with a null value are left out. | -

CREATE OR REPLACE FUNCTION net._urlencode_string(string character varying)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if string collate "C" ~ '^[A-Za-z0-9._~-]*$' then
    return string;
  end if;
  return net._percent_encode(string, true);
end
$function$
| The text percent-encoded as in RFC 3986; null for null. | -

CREATE OR REPLACE FUNCTION net._with_traceparent(headers jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  traceparent constant text := current_setting('pgnetd.traceparent', true);
begin
  if (traceparent collate "C" ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') is not true
    or exists (select from jsonb_object_keys(headers) as name where lower(name collate "C") = 'traceparent')
  then
    return headers;
  end if;
  return coalesce(headers, '{}') || jsonb_build_object('traceparent', traceparent);
end
$function$
| The headers with the setting pgnetd.traceparent of the session, unless they have one; anything but a W3C traceparent is passed over. | -

CREATE OR REPLACE FUNCTION net.check_worker_is_up()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_stat_clear_snapshot();
  if net._leader_pid() is null then
    raise exception 'the pg_net background worker is not up'
      using errcode = 'object_not_in_prerequisite_state',
        detail = format('No pgnetd daemon leads the database %s.', current_database()),
        hint = 'Start pgnetd for this database. Requests made meanwhile wait in net.http_request_queue and are not lost.';
  end if;
end
$function$
| Raises where no pgnetd daemon leads this database. | -

CREATE OR REPLACE FUNCTION net.form_urlencode(fields jsonb)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if jsonb_typeof(fields) <> 'object' then
    raise exception 'fields must be a JSON object, not a JSON %', jsonb_typeof(fields)
      using errcode = 'invalid_parameter_value', hint = 'Write fields as {"name": "value", "several": ["a", "b"]}.';
  end if;
  return (
    select coalesce(string_agg(
      replace(net._urlencode_string(field.key), '%20', '+') || '=' || replace(net._urlencode_string(item.value), '%20', '+'),
      '&' order by field.n, item.n), '')
    from jsonb_each(fields) with ordinality as field (key, value, n),
      jsonb_array_elements_text(
        case jsonb_typeof(field.value) when 'array' then field.value else jsonb_build_array(field.value) end
      ) with ordinality as item (value, n)
    where item.value is not null
  );
end
$function$
| A JSON object as application/x-www-form-urlencoded text; an array repeats its name, null is left out. | -

CREATE OR REPLACE FUNCTION net.http_collect_response(request_id bigint, async boolean DEFAULT true)
 RETURNS net.http_response_result
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return net._http_collect_response(request_id, async);
end
$function$
| The state of a request and its answer; with async := false waits for it. | -

CREATE OR REPLACE FUNCTION net.http_delete(url text, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{}'::jsonb, timeout_milliseconds integer DEFAULT 5000, body jsonb DEFAULT NULL::jsonb)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  request_id bigint;
begin
  if body is not null then
    headers := net._json_headers(headers);
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('DELETE', url, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$function$
| Queues a DELETE request, with a JSON body where one is given, sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_get(url text, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{}'::jsonb, timeout_milliseconds integer DEFAULT 5000)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  request_id bigint;
begin
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
  values ('GET', url, headers, timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$function$
| Queues a GET request, sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_head(url text, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{}'::jsonb, timeout_milliseconds integer DEFAULT 5000)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return net._enqueue('HEAD', url, params, headers, null, timeout_milliseconds, null, null, null);
end
$function$
| Queues a HEAD request, sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_lane_status(most integer DEFAULT 100)
 RETURNS TABLE(lane text, host text, outbox_rows bigint, deferred bigint, oldest timestamp with time zone, next_due timestamp with time zone, queued integer, in_flight integer, is_behind boolean, is_paused boolean, last_error text, last_error_at timestamp with time zone, reported timestamp with time zone)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
AS $function$
  -- The expressions are those of the indexes by lane, and ranges and orders are so that only they serve, whatever the planner
  -- knows of the table.
  with recursive request as not materialized (
    select q.id, q.created, q.next_attempt_at,
      net._lane(q.url, q.lane) collate "C" as lane
    from net.http_request_queue q
  ), activity as (
    select * from net.http_lane_activity where reported > now() - interval '15 seconds'
  ), fresh (lane, n) as (
    (select q.lane, 1
     from request q where q.next_attempt_at is null order by 1 limit 1)
    union all
    select (select q.lane
            from request q
            where q.next_attempt_at is null and q.lane > f.lane order by 1 limit 1), f.n + 1
    from fresh f where f.lane is not null and f.n < coalesce(most, 2147483647)
  ), later (lane, n) as (
    (select q.lane, 1
     from request q where q.next_attempt_at is not null order by 1 limit 1)
    union all
    select (select q.lane
            from request q
            where q.next_attempt_at is not null and q.lane > l.lane order by 1 limit 1), l.n + 1
    from later l where l.lane is not null and l.n < coalesce(most, 2147483647)
  ), known as (
    (select a.lane from activity a order by a.queued + a.in_flight desc, a.lane limit most)
    union select f.lane from fresh f where f.lane is not null
    union select l.lane from later l where l.lane is not null
  )
  select k.lane, a.host,
    waits.now + waits.later, waits.later, waits.oldest, waits.next_due,
    coalesce(a.queued, 0), coalesce(a.in_flight, 0), a.is_behind, a.is_paused, a.last_error, a.last_error_at, a.reported
  from known k left join activity a on a.lane = k.lane cross join lateral (
    select
      (select count(*) from (
        select from request q where q.next_attempt_at is null and q.lane >= k.lane and q.lane <= k.lane
        order by q.lane, q.id limit 10000) one) as now,
      (select count(*) from (
        select from request q where q.next_attempt_at is not null and q.lane >= k.lane and q.lane <= k.lane
        order by q.lane, coalesce(q.next_attempt_at, 'infinity') limit 10000) one) as later,
      (select q.created from request q where q.next_attempt_at is null and q.lane >= k.lane and q.lane <= k.lane
       order by q.lane, q.id limit 1) as oldest,
      (select q.next_attempt_at from request q where q.next_attempt_at is not null and q.lane >= k.lane and q.lane <= k.lane
       order by q.lane, coalesce(q.next_attempt_at, 'infinity') limit 1) as next_due
  ) waits
  order by waits.now + waits.later desc, k.lane
  limit most
$function$
| What waits in each lane, the longest first, and what the daemon does with it: rows are counted up to 10,000 of each kind; what the daemon reports is up to five seconds old, and null where it reports nothing. A null asks for every lane. | -

CREATE OR REPLACE FUNCTION net.http_patch(url text, body jsonb DEFAULT '{}'::jsonb, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{"Content-Type": "application/json"}'::jsonb, timeout_milliseconds integer DEFAULT 5000)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  return net._enqueue('PATCH', url, params, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds, null, null, null);
end
$function$
| Queues a PATCH request with a JSON body (null for none), sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_post(url text, body jsonb DEFAULT '{}'::jsonb, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{"Content-Type": "application/json"}'::jsonb, timeout_milliseconds integer DEFAULT 5000)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  request_id bigint;
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  if (jsonb_typeof(headers) = 'object' and timeout_milliseconds >= 0) is not true then
    perform net._check_request(headers, timeout_milliseconds);
  end if;
  if current_setting('pgnetd.traceparent', true) <> '' then
    headers := net._with_traceparent(headers);
  end if;
  if (params = '{}' and net._is_plain_url(url)) is not true then
    url := net._url(url, params);
  end if;
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values ('POST', url, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds)
  returning id into request_id;
  return request_id;
end
$function$
| Queues a POST request with a JSON body (null for none), sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_put(url text, body jsonb DEFAULT '{}'::jsonb, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{"Content-Type": "application/json"}'::jsonb, timeout_milliseconds integer DEFAULT 5000)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if (headers ->> 'Content-Type' = 'application/json') is not true then
    headers := net._json_headers(headers);
  end if;
  return net._enqueue('PUT', url, params, headers, convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds, null, null, null);
end
$function$
| Queues a PUT request with a JSON body (null for none), sent after commit; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_replay(request_id bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  own_mark constant integer := (
    select substring(pg_get_expr(d.adbin, d.adrelid), '^[0-9]+$')
    from pg_catalog.pg_attribute as a join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'net.http_dead_letter'::pg_catalog.regclass and a.attname = 'installation_mark'
  );
  replayed bigint;
begin
  with letter as (
    delete from net.http_dead_letter as d
    where (d.ctid, d.tableoid) = (
      select latest.ctid, latest.tableoid from net.http_dead_letter as latest
      where latest.id = request_id
      order by (latest.error_code = 'other_installation' or latest.installation_mark <> own_mark) is true, latest.died desc
      limit 1 for update
    )
    returning d.*, (d.error_code = 'other_installation' or d.installation_mark <> own_mark) is true as is_foreign
  )
  insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds, deduplication_key, options, lane)
  select case when letter.is_foreign then nextval('net.http_request_queue_id_seq') else letter.id end,
    letter.method, letter.url, letter.headers, letter.body, letter.timeout_milliseconds,
    letter.deduplication_key, letter.options, letter.lane
  from letter
  returning id into replayed;
  if replayed is null then
    raise exception 'no dead letter with id %', request_id
      using errcode = 'no_data_found', hint = 'See net.http_dead_letter for those there are.';
  end if;
  return replayed;
end
$function$
| Moves a dead letter back into the outbox, with its id and a full number of tries; sent after commit. One of another installation gets a new id. | -

CREATE OR REPLACE FUNCTION net.http_request(method text, url text, body bytea, content_type text DEFAULT NULL::text, params jsonb DEFAULT NULL::jsonb, headers jsonb DEFAULT NULL::jsonb, timeout_milliseconds integer DEFAULT 5000, delay interval DEFAULT NULL::interval, send_at timestamp with time zone DEFAULT NULL::timestamp with time zone, deduplication_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, retry_first_ms integer DEFAULT NULL::integer, retry_max_ms integer DEFAULT NULL::integer, max_redirects integer DEFAULT NULL::integer, keep text DEFAULT NULL::text, lane text DEFAULT NULL::text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'application/octet-stream' end),
    body, timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$function$
| Queues a request with any method, a body of bytes, a delay, a deduplication key, retries, a lane; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_request(method text, url text, body jsonb, content_type text DEFAULT NULL::text, params jsonb DEFAULT NULL::jsonb, headers jsonb DEFAULT NULL::jsonb, timeout_milliseconds integer DEFAULT 5000, delay interval DEFAULT NULL::interval, send_at timestamp with time zone DEFAULT NULL::timestamp with time zone, deduplication_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, retry_first_ms integer DEFAULT NULL::integer, retry_max_ms integer DEFAULT NULL::integer, max_redirects integer DEFAULT NULL::integer, keep text DEFAULT NULL::text, lane text DEFAULT NULL::text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'application/json' end),
    convert_to(body::pg_catalog.text, 'UTF8'), timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$function$
| Queues a request with any method, a JSON body, a delay, a deduplication key, retries, a lane; returns its id. | -

CREATE OR REPLACE FUNCTION net.http_request(method text, url text, body text DEFAULT NULL::text, content_type text DEFAULT NULL::text, params jsonb DEFAULT NULL::jsonb, headers jsonb DEFAULT NULL::jsonb, timeout_milliseconds integer DEFAULT 5000, delay interval DEFAULT NULL::interval, send_at timestamp with time zone DEFAULT NULL::timestamp with time zone, deduplication_key text DEFAULT NULL::text, max_attempts integer DEFAULT NULL::integer, retry_first_ms integer DEFAULT NULL::integer, retry_max_ms integer DEFAULT NULL::integer, max_redirects integer DEFAULT NULL::integer, keep text DEFAULT NULL::text, lane text DEFAULT NULL::text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  return net._enqueue(
    method, url, params,
    net._content_type_headers(headers, content_type, case when body is not null then 'text/plain; charset=utf-8' end),
    convert_to(body, 'UTF8'), timeout_milliseconds,
    case when delay is not null or send_at is not null then net._due(delay, send_at) end, deduplication_key,
    case when num_nonnulls(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) > 0
      then net._request_options(max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep) end,
    lane);
end
$function$
| Queues a request with any method, a text body, a delay, a deduplication key, retries, a lane; returns its id. | -

CREATE OR REPLACE FUNCTION net.wait_until_running()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  loop
    perform pg_stat_clear_snapshot();
    exit when net._leader_pid() is not null;
    perform pg_sleep(0.05);
  end loop;
end
$function$
| Waits until a pgnetd daemon leads this database. Ended by statement_timeout. | -

CREATE OR REPLACE FUNCTION net.wake()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  perform pg_logical_emit_message(true, 'pgnetd', '{"command":"wake"}');
end
$function$
| Tells the pgnetd daemon to look into the outbox after commit; needed only after an update of a waiting row. | -

CREATE OR REPLACE FUNCTION net.worker_restart()
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| Tells the pgnetd daemon to load its configuration and connect anew; returns true at once. | -

CREATE OR REPLACE FUNCTION supabase_functions._has_untrusted_type(type_id oid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| True where to_jsonb of such a value may run code of somebody who is not to be trusted with the rights of the present role. | -

CREATE OR REPLACE FUNCTION supabase_functions._record(relation oid, fields anyelement)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| A row as jsonb, without running code that belongs to another role. | -

CREATE OR REPLACE FUNCTION supabase_functions._send(table_id oid, hook_name text, payload jsonb, arguments text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| Queues the request of one webhook and records it. | -

CREATE OR REPLACE FUNCTION supabase_functions.http_request()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
| Trigger function: sends what changed to a url. Arguments: url, method, headers, params, timeout in milliseconds, and warn to warn instead of failing. | public: execute


-- publications
publication pgnetd_outbox | net.http_request_queue | insert t, update f, delete f, truncate t | Committed requests, for the pgnetd daemon.
publication pgnetd_settings | net.http_host_settings | insert t, update t, delete t, truncate t | Changes of settings, for the pgnetd daemon.
