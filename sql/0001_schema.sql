-- The tables of pgnetd, what they are published as, and who may use them.

-- API: public
create domain net.http_method as text
  constraint http_method_is_known
  check (upper(value collate "C") in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'));
comment on domain net.http_method is
  'A request method: GET, POST, PUT, PATCH, DELETE or HEAD, in upper or lower case.';

-- API: public
create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
comment on type net.request_status is
  'How far a request is: PENDING while waiting or in flight, SUCCESS with any answer, ERROR without one.';

-- API: public
create type net.http_response as (
  status_code integer,
  headers jsonb,
  body text
);
comment on type net.http_response is 'An answer: its status, its headers, its content as text.';

-- API: public
create type net.http_response_result as (
  status net.request_status,
  message text,
  response net.http_response
);
comment on type net.http_response_result is
  'What net.http_collect_response tells: the state, a message, and the answer when there is one.';

-- API: public
-- No check constraints: each would cost a tenth of an enqueue, on every call. The functions check their arguments, and
-- a row inserted by hand that cannot be sent is answered with an error.
create table net.http_request_queue (
  id bigserial primary key,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null,
  created timestamptz not null default now(),
  next_attempt_at timestamptz,
  attempts integer not null default 0,
  deduplication_key text,
  options jsonb
) with (
  -- Rows live for milliseconds: what counts is the number of dead ones, not their share of an empty table.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 20000,
  autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 5000,
  toast.autovacuum_vacuum_insert_threshold = -1,
  toast.autovacuum_vacuum_cost_delay = 0
);
comment on table net.http_request_queue is
  'The outbox: one row per request that has not ended. Insert to send after commit, delete or truncate to cancel what was not sent yet.';
comment on column net.http_request_queue.id is 'The request id that the functions return.';
comment on column net.http_request_queue.method is 'GET, POST, PUT, PATCH, DELETE or HEAD.';
comment on column net.http_request_queue.url is 'Absolute, http or https, with its query.';
comment on column net.http_request_queue.headers is 'A flat JSON object of header names and values; null for none.';
comment on column net.http_request_queue.body is 'The bytes to send; null for no body.';
comment on column net.http_request_queue.timeout_milliseconds is 'From the moment of sending to the last byte of the answer; 0 is an hour.';
comment on column net.http_request_queue.created is 'When the transaction that made the request began.';
comment on column net.http_request_queue.next_attempt_at is 'Null: send at once. Set: wait until then, for a delay the caller asked for or before a retry.';
comment on column net.http_request_queue.attempts is 'Tries that ended without a final answer.';
comment on column net.http_request_queue.deduplication_key is 'No two requests with the same key wait at the same time; null for no such rule.';
comment on column net.http_request_queue.options is 'Null for the defaults, or an object with max_attempts, retry_first_ms, retry_max_ms, max_redirects, keep.';
comment on sequence net.http_request_queue_id_seq is 'Request ids.';

create index http_request_queue_fresh on net.http_request_queue (id) where next_attempt_at is null;
comment on index net.http_request_queue_fresh is 'What may be sent now, lowest id first.';
create index http_request_queue_parked on net.http_request_queue (next_attempt_at) where next_attempt_at is not null;
comment on index net.http_request_queue_parked is 'What waits for its time, earliest first.';
create unique index http_request_queue_deduplication on net.http_request_queue (deduplication_key)
  where deduplication_key is not null;
comment on index net.http_request_queue_deduplication is 'One waiting request per deduplication key.';

-- API: public
create table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
) with (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_threshold = -1,
  autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0.05,
  toast.autovacuum_vacuum_threshold = 5000,
  toast.autovacuum_vacuum_insert_threshold = -1,
  toast.autovacuum_vacuum_cost_delay = 0
);
comment on table net._http_response is 'One row per request that ended, kept for the retention time (6 hours unless set).';
comment on column net._http_response.id is 'The request id.';
comment on column net._http_response.status_code is 'The HTTP status; null without an answer.';
comment on column net._http_response.content_type is 'The Content-Type of the answer as sent.';
comment on column net._http_response.headers is 'Header names in the server''s own case; of repeated ones the last (all of them: net.http_response_detail).';
comment on column net._http_response.content is 'The content as text, decoded by its charset.';
comment on column net._http_response.timed_out is 'True when the time was up before the answer was complete; false otherwise.';
comment on column net._http_response.error_msg is 'Why there is no answer; null with one.';
comment on column net._http_response.created is 'When the request ended.';

create index _http_response_id_idx on net._http_response (id);
comment on index net._http_response_id_idx is 'Finds the answer to a request.';
create index _http_response_created_idx on net._http_response (created);
comment on index net._http_response_created_idx is 'Finds what has expired.';

-- API: public
create table net.http_response_detail (
  id bigint not null,
  method text not null,
  url text not null,
  attempts integer not null,
  error_code text,
  total_ms double precision,
  dns_ms double precision,
  connect_ms double precision,
  exchange_ms double precision,
  response_headers jsonb,
  content_bytes bytea,
  enqueued timestamptz not null,
  created timestamptz not null default now()
) with (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_threshold = -1,
  autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0.05,
  toast.autovacuum_vacuum_threshold = 5000,
  toast.autovacuum_vacuum_insert_threshold = -1,
  toast.autovacuum_vacuum_cost_delay = 0
);
comment on table net.http_response_detail is
  'What net._http_response has no column for; joined to it by id and kept for the same time.';
comment on column net.http_response_detail.id is 'The request id.';
comment on column net.http_response_detail.method is 'The method of the request.';
comment on column net.http_response_detail.url is 'The url of the request.';
comment on column net.http_response_detail.attempts is 'Tries in all, the last included.';
comment on column net.http_response_detail.error_code is 'A short word for why there is no answer, such as timeout, dns, connect, tls; null with one.';
comment on column net.http_response_detail.total_ms is 'The last try from sending to end, in milliseconds.';
comment on column net.http_response_detail.dns_ms is 'Name resolution in milliseconds.';
comment on column net.http_response_detail.connect_ms is 'TCP and TLS handshakes in milliseconds.';
comment on column net.http_response_detail.exchange_ms is 'From the connection to the end of the answer, in milliseconds.';
comment on column net.http_response_detail.response_headers is
  'Every header in order, as an array of [name, value] pairs; null where net._http_response.headers lost none.';
comment on column net.http_response_detail.content_bytes is 'The content as received, where text cannot show it without loss; otherwise null.';
comment on column net.http_response_detail.enqueued is 'When the transaction that made the request began.';
comment on column net.http_response_detail.created is 'When the request ended.';

create index http_response_detail_id on net.http_response_detail (id);
comment on index net.http_response_detail_id is 'Finds the detail of a request.';
create index http_response_detail_created on net.http_response_detail (created);
comment on index net.http_response_detail_created is 'Finds what has expired.';

-- API: public
create table net.http_dead_letter (
  id bigint not null,
  method text not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null,
  created timestamptz not null,
  next_attempt_at timestamptz,
  attempts integer not null,
  deduplication_key text,
  options jsonb,
  error_code text,
  error_msg text,
  status_code integer,
  died timestamptz not null default now()
);
comment on table net.http_dead_letter is
  'Requests that used up their tries, whole, so that net.http_replay can send them again.';
comment on column net.http_dead_letter.id is 'The request id.';
comment on column net.http_dead_letter.method is 'As it was in the outbox.';
comment on column net.http_dead_letter.url is 'As it was in the outbox.';
comment on column net.http_dead_letter.headers is 'As they were in the outbox.';
comment on column net.http_dead_letter.body is 'As it was in the outbox.';
comment on column net.http_dead_letter.timeout_milliseconds is 'As it was in the outbox.';
comment on column net.http_dead_letter.created is 'When the transaction that made the request began.';
comment on column net.http_dead_letter.next_attempt_at is 'When the last try was due; null where there was one try only.';
comment on column net.http_dead_letter.deduplication_key is 'As it was in the outbox.';
comment on column net.http_dead_letter.options is 'As they were in the outbox.';
comment on column net.http_dead_letter.attempts is 'Tries in all.';
comment on column net.http_dead_letter.error_code is 'A short word for the last failure; null where the last answer was an HTTP error.';
comment on column net.http_dead_letter.error_msg is 'The last failure in words; null where the last answer was an HTTP error.';
comment on column net.http_dead_letter.status_code is 'The last HTTP status; null where the last try got no answer.';
comment on column net.http_dead_letter.died is 'When the last try ended.';

create index http_dead_letter_id on net.http_dead_letter (id);
comment on index net.http_dead_letter_id is 'Finds a dead letter by its request id.';
create index http_dead_letter_died on net.http_dead_letter (died);
comment on index net.http_dead_letter_died is 'Finds what has expired.';

-- API: public
create table net.http_host_settings (
  host text primary key,
  rate_per_second numeric,
  concurrency integer,
  paused boolean not null default false,
  constraint host_is_lower_case check (host = lower(host)),
  constraint host_is_a_name_without_scheme_port_or_path check (host <> '' and host !~ '[/@?#\s]' and host !~ ':[0-9]+$'),
  constraint rate_per_second_is_above_zero check (rate_per_second > 0),
  constraint rate_per_second_is_at_most_100000 check (rate_per_second <= 100000),
  constraint concurrency_is_above_zero check (concurrency > 0)
);
comment on table net.http_host_settings is
  'Limits for one destination host each; the daemon takes a committed change over at once.';
comment on column net.http_host_settings.host is 'The host as in the url: a name in lower case, or an address; no scheme, no port.';
comment on column net.http_host_settings.rate_per_second is 'Requests that may start per second, above 0 and at most 100000; null for the configured default.';
comment on column net.http_host_settings.concurrency is 'Requests that may be in flight at once; null for the configured default.';
comment on column net.http_host_settings.paused is 'True: nothing is sent to this host; its requests wait.';

-- API: private
create table net.pgnetd_installation (
  id uuid not null default gen_random_uuid(),
  only_row boolean primary key default true,
  constraint there_is_one_installation check (only_row)
);
comment on table net.pgnetd_installation is 'What tells the requests of this database from those of every other.';
comment on column net.pgnetd_installation.id is
  'First part of the Idempotency-Key of every request; the same after restarts, failover, dump and restore.';
comment on column net.pgnetd_installation.only_row is 'Always true: the table has one row.';
insert into net.pgnetd_installation default values;

-- API: private
create table net.pgnetd_parts (
  name text primary key,
  setting text
);
comment on table net.pgnetd_parts is
  'Optional parts that were asked for: pgnetd migrate applies them again after each upgrade.';
comment on column net.pgnetd_parts.name is 'webhooks or grants.';
comment on column net.pgnetd_parts.setting is 'For grants: the one role that may call; null for every role.';

-- API: private
create publication pgnetd_outbox for table net.http_request_queue with (publish = 'insert, truncate');
comment on publication pgnetd_outbox is 'Committed requests, for the pgnetd daemon.';
-- API: private
create publication pgnetd_settings for table net.http_host_settings;
comment on publication pgnetd_settings is 'Changes of settings, for the pgnetd daemon.';

-- Every role may call, insert, look and cancel, as with pg_net; pgnetd migrate --grants restricted takes that back.
-- TRIGGER and REFERENCES are left out: a trigger runs as whoever writes, and that is the daemon.
grant usage on schema net to public;
grant usage, select on sequence net.http_request_queue_id_seq to public;
grant select, insert, update, delete, truncate on net.http_request_queue, net._http_response to public;
grant select on net.http_response_detail, net.http_host_settings, net.pgnetd_migrations to public;
-- The headers and bodies of dead letters are kept for long and may hold secrets.
grant select (id, method, url, created, attempts, error_code, error_msg, status_code, died) on net.http_dead_letter to public;
