-- Drops what the migrations made, and nothing that others made or that others use. The schema itself is not dropped here.

drop function if exists
  net.http_get(text, jsonb, jsonb, integer),
  net.http_post(text, jsonb, jsonb, jsonb, integer),
  net.http_delete(text, jsonb, jsonb, integer, jsonb),
  net.http_put(text, jsonb, jsonb, jsonb, integer),
  net.http_patch(text, jsonb, jsonb, jsonb, integer),
  net.http_head(text, jsonb, jsonb, integer),
  net.http_request(text, text, text, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text),
  net.http_request(text, text, jsonb, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text),
  net.http_request(text, text, bytea, text, jsonb, jsonb, integer, interval, timestamptz, text, integer, integer, integer, integer, text, text),
  net.form_urlencode(jsonb),
  net.http_collect_response(bigint, boolean),
  net._http_collect_response(bigint, boolean),
  net._await_response(bigint),
  net._made_by_this_transaction(xid),
  net._request_state(bigint),
  net.http_replay(bigint),
  net._expire_hooks(double precision, integer),
  net._enqueue(text, text, jsonb, jsonb, bytea, integer, timestamptz, text, jsonb, text),
  net._content_type_headers(jsonb, text, text),
  net._due(interval, timestamptz),
  net._request_options(integer, integer, integer, integer, text),
  net._check_request(jsonb, integer),
  net._with_traceparent(jsonb),
  net._json_headers(jsonb),
  net._url(text, jsonb),
  net._encode_url_with_params_array(text, text[]),
  net._is_plain_url(text),
  net._urlencode_string(varchar),
  net._percent_encode(text, boolean),
  net._lower_hex(text),
  net.check_worker_is_up(),
  net.wait_until_running(),
  net.worker_restart(),
  net.wake(),
  net._leader_pid(),
  net.http_lane_status(integer);

drop table if exists
  net.http_request_queue,
  net._http_response,
  net.http_response_detail,
  net.http_dead_letter,
  net.http_host_settings,
  net.http_lane_activity,
  net.pgnetd_installation,
  net.pgnetd_parts,
  net.pgnetd_migrations;

drop function if exists net._lane(text, text);
drop type if exists net.http_response_result, net.http_response, net.request_status;
drop domain if exists net.http_method;
