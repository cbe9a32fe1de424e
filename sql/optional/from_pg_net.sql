-- What others made on pg_net's objects, in the order in which it can be made again: how it is dropped, how it is made again, or
-- why it cannot be; and notes on what is not. Names are written in full where search_path is pg_catalog.

with recursive extension as (
  select oid from pg_extension where extname = 'pg_net'
), member as (
  select d.classid, d.objid from pg_depend as d, extension
  where d.refclassid = 'pg_extension'::regclass and d.refobjid = extension.oid and d.deptype = 'e'
), net_table as (
  select c.oid, c.relname, c.relowner, c.relacl, c.relkind, c.relrowsecurity, c.relforcerowsecurity
  from pg_class as c join member as m on m.classid = 'pg_class'::regclass and m.objid = c.oid
  where c.oid in (to_regclass('net.http_request_queue'), to_regclass('net._http_response'), to_regclass('net.http_request_queue_id_seq'))
), net_function as (
  select p.* from pg_proc as p join member as m on m.classid = 'pg_proc'::regclass and m.objid = p.oid
  where p.oid in (
    to_regprocedure('net.http_get(text, jsonb, jsonb, integer)'), to_regprocedure('net.http_post(text, jsonb, jsonb, jsonb, integer)'),
    to_regprocedure('net.http_delete(text, jsonb, jsonb, integer, jsonb)'), to_regprocedure('net.http_collect_response(bigint, boolean)'),
    to_regprocedure('net._http_collect_response(bigint, boolean)'), to_regprocedure('net._await_response(bigint)'),
    to_regprocedure('net._urlencode_string(character varying)'), to_regprocedure('net._encode_url_with_params_array(text, text[])'),
    to_regprocedure('net.worker_restart()'), to_regprocedure('net.wait_until_running()'), to_regprocedure('net.wake()'),
    to_regprocedure('net.check_worker_is_up()'))
),

-- Objects that depend on pg_net's, and those that depend on these. A view depends by its rule; its row type is something of its own.
-- What others have in schema net depends on the schema alone, and stays there.
root as (
  select classid, objid from member where classid <> 'pg_namespace'::regclass
  union select 'pg_type'::regclass, t.oid from pg_type as t join member as m on m.classid = 'pg_class'::regclass and m.objid = t.typrelid
  union select 'pg_class'::regclass, t.typrelid from pg_type as t join member as m on m.classid = 'pg_type'::regclass and m.objid = t.oid
  union select 'pg_type'::regclass, t.oid from pg_type as t join member as m on m.classid = 'pg_type'::regclass and m.objid = t.typelem
), reached (classid, objid, depth) as (
  select classid, objid, 0 from root
  union
  select next.classid, next.objid, r.depth + 1
  from reached as r
  join pg_depend as d on d.refclassid = r.classid and d.refobjid = r.objid and d.deptype = 'n'
  left join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid and w.rulename = '_RETURN'
  cross join lateral (
    select case when w.oid is null then d.classid else 'pg_class'::regclass end, coalesce(w.ev_class, d.objid)
    union all select 'pg_type'::regclass, c.reltype from pg_class as c where c.oid = w.ev_class
  ) as next (classid, objid)
  -- Up to PostgreSQL 15 the rule of a view depends on the view itself.
  where r.depth < 50 and (r.classid <> 'pg_class'::regclass or r.objid is distinct from w.ev_class)
    and (next.classid, next.objid) not in (select classid, objid from root)
), dependent as (
  select r.classid, r.objid, max(r.depth) as depth from reached as r
  where r.depth > 0 and not (r.classid = 'pg_type'::regclass and exists (
    select from pg_type as t join pg_class as c on c.oid = t.typrelid where t.oid = r.objid and c.relkind in ('v', 'm')
  ))
  group by r.classid, r.objid
),

-- Who has which right on it, and who would have one by default privileges alone.
view as (
  select c.oid, d.depth, c.relowner, c.relkind = 'm' as is_materialized, case c.relkind when 'm' then 'materialized view' else 'view' end as kind,
    format('%s', c.oid::regclass) as name, c.relacl, c.reloptions, c.relispopulated
  from dependent as d join pg_class as c on d.classid = 'pg_class'::regclass and c.oid = d.objid
  where c.relkind in ('v', 'm')
), function as (
  select p.oid, d.depth, p.proowner, case p.prokind when 'p' then 'procedure' else 'function' end as kind,
    format('%s', p.oid::regprocedure) as name, p.proacl
  from dependent as d join pg_proc as p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
  where p.prokind in ('f', 'p')
), by_default as (
  select distinct a.defaclobjtype as kind, e.grantee from pg_default_acl as a, aclexplode(a.defaclacl) as e
  union select 'f', 0
), change (class, oid, kind, name, owner, present, initial) as (
  select 'pg_namespace'::regclass, n.oid, 'schema', 'net', n.nspowner, n.nspacl, acldefault('n', n.nspowner)
  from pg_namespace as n join member as m on m.classid = 'pg_namespace'::regclass and m.objid = n.oid where n.nspname = 'net'
  union all
  select 'pg_class'::regclass, oid, case relkind when 'S' then 'sequence' else 'table' end, format('net.%I', relname), relowner, relacl,
    acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)
  from net_table
  union all
  select 'pg_proc'::regclass, oid, 'function', format('%s', oid::regprocedure), proowner, proacl, acldefault('f', proowner) from net_function
), privilege as (
  select c.kind, c.name, c.owner, now.*, false as was
  from change as c, aclexplode(coalesce(c.present, c.initial)) as now
  union all
  select c.kind, c.name, c.owner, before.*, true as was
  from change as c left join pg_init_privs as i on i.classoid = c.class and i.objoid = c.oid and i.objsubid = 0,
    aclexplode(coalesce(i.initprivs, c.initial)) as before
), right_changed as (
  select kind, name, grantee, privilege_type, is_grantable, bool_and(was) as was
  from privilege where grantee <> owner
  group by kind, name, grantee, privilege_type, is_grantable having count(distinct was) = 1
), column_right as (
  select t.relname, a.attname, e.*
  from net_table as t join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped, aclexplode(a.attacl) as e
),

-- Whoever has one of them on pgnetd's tables can have code run as the daemon, or as their owner.
as_daemon (name, privilege_type, grantee) as (
  select name, privilege_type, grantee from right_changed
  where not was and privilege_type in ('TRIGGER', 'REFERENCES')
  union select format('net.%I', relname), privilege_type, grantee from column_right where privilege_type = 'REFERENCES'
),

-- What not every role could read, or not all of it.
hidden as (
  select format('net.%I', t.relname) as name from net_table as t
  where t.relkind = 'r' and (t.relrowsecurity or not exists (
    select from aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) as e where e.grantee = 0 and e.privilege_type = 'SELECT'))
),

item (place, kind, object, dropped, made, problem) as (
  select 100 + v.depth, v.kind, v.name, format('drop %s %s', v.kind, v.name), concat_ws(E';\n',
    format('create %s %s%s as%s%s', v.kind, v.name, ' with (' || array_to_string(v.reloptions, ', ') || ')',
      E'\n' || rtrim(pg_get_viewdef(v.oid), ';'), case when v.is_materialized then ' with no data' end),
    format('alter %s %s owner to %I', v.kind, v.name, pg_get_userbyid(v.relowner)),
    'revoke all on ' || v.name || ' from ' || (
      select string_agg(case b.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(b.grantee)) end, ', ' order by b.grantee)
      from by_default as b where b.kind = 'r' and b.grantee <> v.relowner),
    (select string_agg(format('grant %s on %s to %s%s', e.privilege_type, v.name,
        case e.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(e.grantee)) end, case when e.is_grantable then ' with grant option' end), E';\n')
      from aclexplode(v.relacl) as e where e.grantee <> v.relowner),
    (select string_agg(format('grant %s (%I) on %s to %s%s', e.privilege_type, a.attname, v.name,
        case e.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(e.grantee)) end, case when e.is_grantable then ' with grant option' end),
        E';\n' order by a.attnum)
      from pg_attribute as a, aclexplode(a.attacl) as e where a.attrelid = v.oid and a.attnum > 0 and not a.attisdropped and e.grantee <> v.relowner),
    (select string_agg(case o.objsubid when 0 then format('comment on %s %s is %L', v.kind, v.name, o.description)
        else format('comment on column %s.%I is %L', v.name, a.attname, o.description) end, E';\n' order by o.objsubid)
      from pg_description as o left join pg_attribute as a on a.attrelid = v.oid and a.attnum = o.objsubid
      where o.classoid = 'pg_class'::regclass and o.objoid = v.oid),
    (select string_agg(format('alter view %s alter column %I set default %s', v.name, a.attname, pg_get_expr(f.adbin, f.adrelid)), E';\n')
      from pg_attrdef as f join pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum where f.adrelid = v.oid),
    (select string_agg(pg_get_indexdef(i.indexrelid), E';\n') from pg_index as i where i.indrelid = v.oid),
    (select string_agg(rtrim(pg_get_ruledef(w.oid), ';'), E';\n') from pg_rewrite as w where w.ev_class = v.oid and w.rulename <> '_RETURN'),
    (select string_agg(pg_get_triggerdef(t.oid), E';\n') from pg_trigger as t where t.tgrelid = v.oid and not t.tgisinternal)
  ), null
  from view as v
  union all
  select 100 + f.depth, f.kind, f.name, format('drop %s %s', f.kind, f.name), concat_ws(E';\n',
    rtrim(pg_get_functiondef(f.oid), E'\n'),
    format('alter %s %s owner to %I', f.kind, f.name, pg_get_userbyid(f.proowner)),
    format('revoke all on %s %s from %s', f.kind, f.name, (
      select string_agg(case b.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(b.grantee)) end, ', ' order by b.grantee)
      from by_default as b where b.kind = 'f' and b.grantee <> f.proowner)),
    (select string_agg(format('grant execute on %s %s to %s%s', f.kind, f.name,
        case e.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(e.grantee)) end, case when e.is_grantable then ' with grant option' end), E';\n')
      from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) as e where e.grantee <> f.proowner),
    (select format('comment on %s %s is %L', f.kind, f.name, o.description) from pg_description as o where o.classoid = 'pg_proc'::regclass and o.objoid = f.oid)
  ), null
  from function as f
  union all
  select 200, 'index', format('%s', i.indexrelid::regclass), null, pg_get_indexdef(i.indexrelid), null
  from pg_index as i join net_table as t on t.oid = i.indrelid
  where not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
    and pg_get_indexdef(i.indexrelid) !~ '^CREATE INDEX \S+ ON net\.\S+ USING btree \((id|created)\)$'
  union all
  select 210, 'statistics', format('%I.%I', n.nspname, s.stxname), null, pg_get_statisticsobjdef(s.oid), null
  from pg_statistic_ext as s join net_table as t on t.oid = s.stxrelid join pg_namespace as n on n.oid = s.stxnamespace
  union all
  select 220, 'rule', format('%I on net.%I', w.rulename, t.relname), null, rtrim(pg_get_ruledef(w.oid), ';'), null
  from pg_rewrite as w join net_table as t on t.oid = w.ev_class
  union all
  select 230, 'trigger', format('%I on net.%I', g.tgname, t.relname), null, concat_ws(E';\n', pg_get_triggerdef(g.oid),
    case g.tgenabled
      when 'D' then format('alter table net.%I disable trigger %I', t.relname, g.tgname)
      when 'R' then format('alter table net.%I enable replica trigger %I', t.relname, g.tgname)
      when 'A' then format('alter table net.%I enable always trigger %I', t.relname, g.tgname)
    end), null
  from pg_trigger as g join net_table as t on t.oid = g.tgrelid
  where not g.tgisinternal and not exists (select from member as m where m.classid = 'pg_proc'::regclass and m.objid = g.tgfoid)
  union all
  select 240, 'policy', format('%I on net.%I', y.policyname, t.relname), null,
    format('create policy %I on net.%I as %s for %s to %s%s%s', y.policyname, t.relname, y.permissive, y.cmd,
      (select string_agg(case r when 'public' then 'public' else quote_ident(r) end, ', ') from unnest(y.roles) as r),
      ' using (' || y.qual || ')', ' with check (' || y.with_check || ')'), null
  from pg_policies as y join net_table as t on y.schemaname = 'net' and y.tablename = t.relname
  union all
  select 241, 'row level security', format('net.%I', relname), null, format('alter table net.%I enable row level security', relname),
    case when relforcerowsecurity then format('it is forced on the owner, who is the daemon; first: alter table net.%I no force row level security', relname) end
  from net_table where relrowsecurity
  union all
  select 250, 'right', format('%s on %s %s', lower(privilege_type), kind, name), null,
    format('%s %s on %s %s %s %s%s', case when was then 'revoke' else 'grant' end, lower(privilege_type), kind, name,
      case when was then 'from' else 'to' end, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
      case when is_grantable and not was then ' with grant option' end), null
  from right_changed where was or privilege_type not in ('TRIGGER', 'REFERENCES')
  union all
  select 251, 'right', format('%s (%I) on net.%I', lower(privilege_type), attname, relname), null,
    format('grant %s (%I) on net.%I to %s%s', lower(privilege_type), attname, relname,
      case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end, case when is_grantable then ' with grant option' end), null
  from column_right where privilege_type <> 'REFERENCES'
  union all
  select 252, 'note', format('%s had %s on %s, with which it could run code as the daemon here: that is left out',
      case grantee when 0 then 'every role' else format('role %I', pg_get_userbyid(grantee)) end,
      string_agg(distinct privilege_type, ', '), string_agg(distinct name, ', ')), null, null, null
  from as_daemon group by grantee
  union all
  select 253, 'right', 'select on table ' || t, null, format('revoke select on table %s from public', t), null
  from unnest(array['net.http_response_detail', 'net.http_dead_letter', 'net.http_lane_activity']) as t
  where exists (select from hidden)
  union all
  select 254, 'note', format('not every role could read all of %s, so none but their owner may read net.http_response_detail, net.http_dead_letter and net.http_lane_activity, which have more of the same, nor call net.http_lane_status(): ', string_agg(name, ' and ' order by name))
      || 'docs/from-pg_net.md, Rights, says how to open them to some', null, null, null
  from hidden having count(*) > 0
  union all
  select 260, 'security definer', format('%s', oid::regprocedure), null, format('alter function %s security definer', oid::regprocedure), null
  from net_function where prosecdef and proname not in ('http_collect_response')
  union all
  select 261, 'setting', format('%s', f.oid::regprocedure), null,
    format('alter function %s set %s to %L', f.oid::regprocedure, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)), null
  from net_function as f, unnest(f.proconfig) as c where c not like 'search\_path=%'
  union all
  -- What it calls runs as its owner so, not as the role that moves; and when all rights are back.
  select 300 + v.depth, 'rows of materialized view', v.name, null, format('refresh materialized view %s', v.name), null
  from view as v where v.is_materialized and v.relispopulated
  union all
  select 900, 'column', format('net.%I.%I', t.relname, a.attname), null, null, 'pgnetd''s table has no such column: what is in it would be lost'
  from net_table as t join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  where t.relkind <> 'S' and a.attname not in (
    'id', 'method', 'url', 'headers', 'body', 'timeout_milliseconds', 'status_code', 'content_type', 'content', 'timed_out', 'error_msg', 'created')
  union all
  select 900, 'constraint', format('%I on net.%I', k.conname, t.relname), null, null,
    format('pgnetd''s table has no such constraint; first: alter table net.%I drop constraint %I', t.relname, k.conname)
  from pg_constraint as k join net_table as t on t.oid = k.conrelid
  where k.contype <> 'n' and pg_get_constraintdef(k.oid) <> 'PRIMARY KEY (id)'
  union all
  select 900, o.type, o.identity, null, null, 'it depends on something of pg_net: drop or change it first'
  from dependent as d, pg_identify_object(d.classid, d.objid, 0) as o
  where (d.classid, d.objid) not in (select 'pg_class'::regclass::oid, oid from view union all select 'pg_proc'::regclass::oid, oid from function)
    and not exists (
      select from root as r, lateral (
        select g.oid, 'pg_trigger'::regclass as class from pg_trigger as g where g.tgrelid = r.objid
        union all select y.oid, 'pg_policy'::regclass from pg_policy as y where y.polrelid = r.objid
        union all select f.oid, 'pg_attrdef'::regclass from pg_attrdef as f where f.adrelid = r.objid
        union all select k.oid, 'pg_constraint'::regclass from pg_constraint as k where k.conrelid = r.objid
        union all select w.oid, 'pg_rewrite'::regclass from pg_rewrite as w where w.ev_class = r.objid
      ) as part
      where r.classid = 'pg_class'::regclass and part.class = d.classid and part.oid = d.objid
    )
)
select kind, object, dropped as "drop", made as "create", problem from item order by place, object;
