-- What databases expect that come from pg_net.

-- FOR ALL TABLES publishes these tables too, and then PostgreSQL refuses to delete rows that nothing identifies. No key does:
-- ids may be given again, and net._http_response is as in pg_net, where an id may even be null.
alter table net._http_response replica identity full;
alter table net.http_response_detail replica identity full;
alter table net.http_dead_letter replica identity full;
