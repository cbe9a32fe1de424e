-- The outbox is read by lane. Where the queue is large, pgnetd migrate has made the indexes before, without blocking callers.

-- The expression is that of src/outbox/lane.ts: the authority of the url without user information, and the name.
create index if not exists http_request_queue_lane on net.http_request_queue (
  left(lower(split_part(split_part(left(url, 2048), '/', 3), '@', -1) collate "C") || coalesce(' ' || left(lane, 255), ''), 255), id
) where next_attempt_at is null;
comment on index net.http_request_queue_lane is 'What may be sent now, by lane, lowest id first.';
create index if not exists http_request_queue_lane_deferred on net.http_request_queue (
  left(lower(split_part(split_part(left(url, 2048), '/', 3), '@', -1) collate "C") || coalesce(' ' || left(lane, 255), ''), 255), coalesce(next_attempt_at, 'infinity')
) where next_attempt_at is not null;
comment on index net.http_request_queue_lane_deferred is 'What waits for its time, by lane, earliest first.';
drop index net.http_request_queue_fresh;
