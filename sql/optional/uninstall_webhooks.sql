-- Drops what webhooks.sql made, and nothing that others made or that others use.

drop function if exists
  supabase_functions.http_request(),
  supabase_functions._record(oid, anyelement),
  supabase_functions._has_untrusted_type(oid),
  supabase_functions._acts_as_owner(),
  supabase_functions._send(oid, text, jsonb, text[]);
drop table if exists supabase_functions.hooks;
