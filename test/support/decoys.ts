import type pg from "pg";

/**
 * Copies of what pg_catalog has, in the schema named `$schema$`: each operator, function and aggregate with the same
 * argument types, each type as a domain, each relation as a view. One that is used notes that. Where the schema stands
 * before pg_catalog in a search_path, every unqualified name means a copy. What no role could copy (arguments of
 * internal types) is left out.
 */
const LAY = `do $lay$
declare
  space text := '$schema$';
  one record;
  n integer := 0;
  arguments text;
begin
  execute format('create schema if not exists %I', space);
  execute format('grant all on schema %I to public', space);
  execute format('create table %I.used (what text, application text, query text)', space);
  execute format('create sequence %I.uses', space);
  execute format('grant all on all tables in schema %1$I to public; grant all on all sequences in schema %1$I to public', space);
  execute format($f$create function %1$I.note(what text) returns boolean language plpgsql security definer
    set search_path = pg_catalog as $b$ begin
      perform nextval('%1$I.uses');
      insert into %1$I.used values (what, current_setting('application_name'), current_query());
      return true;
    end $b$ $f$, space);

  for one in
    select o.oprname as name, concat_ws(', ', nullif(o.oprleft, 0)::regtype, o.oprright::regtype) as arguments,
      concat_ws(', ', 'leftarg = ' || nullif(o.oprleft, 0)::regtype::text, 'rightarg = ' || o.oprright::regtype::text) as sides,
      o.oprresult::regtype::text as result, o.oid::regoperator::text as what
    from pg_operator as o where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprcode <> 0
  loop
    n := n + 1;
    begin
      execute format('create function %I.op%s(%s) returns %s language plpgsql set search_path = pg_catalog as %L',
        space, n, one.arguments, one.result, format('begin perform %I.note(%L); return null; end', space, one.what));
      execute format('create operator %I.%s (%s, function = %I.op%s)', space, one.name, one.sides, space, n);
    exception when others then null;
    end;
  end loop;

  for one in
    select p.proname as name, replace(oidvectortypes(p.proargtypes), '"any"', 'anyelement') as arguments,
      p.prokind as kind, p.oid::regprocedure::text as what, case when p.proretset then 'setof ' else '' end as many,
      case when p.prorettype = 'record'::regtype then 'text' else p.prorettype::regtype::text end as result
    from pg_proc as p where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'a')
  loop
    n := n + 1;
    begin
      if one.kind = 'f' then
        execute format('create function %I.%I(%s) returns %s%s language plpgsql set search_path = pg_catalog as %L',
          space, one.name, one.arguments, one.many, one.result, format('begin perform %I.note(%L); return%s; end',
            space, one.what, case when one.many = '' and one.result <> 'void' then ' null' end));
      else
        execute format('create function %I.agg%s(%s) returns %s language plpgsql set search_path = pg_catalog as %L',
          space, n, concat_ws(', ', one.result, nullif(one.arguments, '')), one.result,
          format('begin perform %I.note(%L); return null; end', space, one.what));
        execute format('create aggregate %I.%I(%s) (sfunc = %I.agg%s, stype = %s)',
          space, one.name, coalesce(nullif(one.arguments, ''), '*'), space, n, one.result);
      end if;
    exception when others then null;
    end;
  end loop;

  for one in
    select c.relname as name from pg_class as c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v')
  loop
    begin
      execute format('create view %I.%I as select c.* from pg_catalog.%2$I as c where %1$I.note(%2$L)', space, one.name);
    exception when others then null;
    end;
  end loop;

  for one in
    select t.typname as name from pg_type as t
    where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typelem = 0 and t.typname not like '\\_%'
  loop
    begin
      execute format('create domain %I.%I as pg_catalog.%2$I check (%1$I.note(%2$L))', space, one.name);
    exception when others then null;
    end;
  end loop;
end
$lay$`;

/** Fills `schema` with copies, over a connection whose own path is PostgreSQL's alone. */
export async function layDecoys(client: pg.ClientBase, schema: string): Promise<void> {
  await client.query("set search_path = pg_catalog");
  await client.query(LAY.replaceAll("$schema$", schema));
}

/** Which copies were used, by whom; empty where none was, also not in a transaction that was rolled back. */
export async function usedDecoys(client: pg.ClientBase, schema: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ used: string }>(
    `select distinct concat_ws(' in ', what, application, query) as used from ${schema}.used
    union all select 'in a transaction that was rolled back' from ${schema}.uses where is_called`,
  );
  return rows.map(({ used }) => used);
}
