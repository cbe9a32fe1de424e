import type { Queryable } from "./pool.ts";

/**
 * Each query gives one line of text per thing, in a stable order and free of names that differ from one server or role to the
 * next: the owner is written `owner`, and what PostgreSQL versions show differently is left out.
 */
const PARTS: readonly (readonly [title: string, query: string])[] = [
  [
    "schemas",
    `select format('schema %s | %s | %s', nspname, obj_description(n.oid, 'pg_namespace'), ACL(nspacl, nspowner))
    from pg_namespace as n where nspname = any ($1) order by nspname`,
  ],
  [
    "types",
    `select format('type %s | %s | %s', t.oid::regtype, obj_description(t.oid, 'pg_type'), case t.typtype
      when 'd' then 'domain over ' || format_type(t.typbasetype, t.typtypmod) || coalesce(' ' || (
        select string_agg(conname || ' ' || pg_get_constraintdef(c.oid), ' ' order by conname)
        from pg_constraint as c where c.contypid = t.oid and c.contype = 'c'), '')
      when 'e' then 'enum ' || (select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid)
      else 'composite ' || (select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)
        from pg_attribute where attrelid = t.typrelid and attnum > 0) end)
    from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
    where nspname = any ($1) and (typtype in ('d', 'e') or (typtype = 'c' and exists (
      select from pg_class where oid = t.typrelid and relkind = 'c'))) order by t.oid::regtype::text collate "C"`,
  ],
  [
    "tables",
    `select format('%s %s | %s%s | %s | %s | %s', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass,
      case c.relpersistence when 'p' then 'logged' else 'unlogged' end,
      case c.relreplident when 'f' then ', identified by all columns' when 'i' then ', identified by ' || (
        select indexrelid::regclass from pg_index where indrelid = c.oid and indisreplident) end, obj_description(c.oid, 'pg_class'),
      (select string_agg(option, ', ' order by option collate "C") from unnest(c.reloptions || array(
        select 'toast.' || o from pg_class as t, unnest(t.reloptions) as o where t.oid = c.reltoastrelid)) as option),
      ACL(c.relacl, c.relowner))
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where nspname = any ($1) and relkind in ('r', 'S') order by c.oid::regclass::text collate "C"`,
  ],
  [
    "columns",
    `select format('column %s.%s | %s %s%s%s | %s | %s', c.oid::regclass, a.attname, a.attnum,
      format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' else '' end,
      coalesce(' default ' || case when a.attname = 'installation_mark' and d.adbin is not null then 'of the installation' else pg_get_expr(d.adbin, d.adrelid) end, ''), col_description(c.oid, a.attnum), ACL(a.attacl, c.relowner))
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
    where nspname = any ($1) and relkind = 'r' order by c.oid::regclass::text collate "C", a.attnum`,
  ],
  [
    "indexes",
    `select format('index %s | %s', replace(pg_get_indexdef(i.indexrelid), E'\\n', ' '), obj_description(i.indexrelid, 'pg_class'))
    from pg_index as i join pg_class as c on c.oid = i.indrelid join pg_namespace as n on n.oid = c.relnamespace
    where nspname = any ($1) order by i.indexrelid::regclass::text collate "C"`,
  ],
  [
    "constraints",
    `select format('constraint %s on %s | %s', conname, conrelid::regclass, pg_get_constraintdef(k.oid))
    from pg_constraint as k join pg_namespace as n on n.oid = k.connamespace
    where nspname = any ($1) and conrelid <> 0 and contype <> 'n' order by conrelid::regclass::text collate "C", conname`,
  ],
  [
    "functions",
    `select format(E'%s| %s | %s\\n', pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'), ACL(p.proacl, p.proowner))
    from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
    where nspname = any ($1) order by p.oid::regprocedure::text collate "C"`,
  ],
  [
    "publications",
    `select format('publication %s | %s | insert %s, update %s, delete %s, truncate %s | %s', pubname,
      (select string_agg(format('%s.%s', schemaname, tablename), ', ' order by 1) from pg_publication_tables as t
        where t.pubname = p.pubname),
      pubinsert, pubupdate, pubdelete, pubtruncate, obj_description(p.oid, 'pg_publication'))
    from pg_publication as p where pubname like 'pgnetd%' order by pubname`,
  ],
];

/** Who has which right: `grantee: rights`, the owner's own left out; `-` for the built-in default. */
function aclText(acl: string, owner: string): string {
  return `coalesce((select string_agg(line, '; ' order by line) from (
    select case grantee when 0 then 'public' else grantee::regrole::text end || ': ' ||
      string_agg(lower(privilege_type), ', ' order by privilege_type) as line
    from aclexplode(${acl}) where grantee <> ${owner} group by grantee) as lines), case when ${acl} is null then '-' else 'none' end)`;
}

/** The schemas of pgnetd as text, the same on every PostgreSQL version and for every owner. */
export async function dumpSchema(db: Queryable, schemas: readonly string[]): Promise<string> {
  const texts: string[] = [];
  for (const [title, query] of PARTS) {
    const text = query.replaceAll(/ACL\(([^\s,()]+), ([^\s,()]+)\)/g, (_, acl: string, owner: string) =>
      aclText(acl, owner),
    );
    const { rows } = await db.query<{ format: string }>({ text, values: text.includes("$1") ? [schemas] : [] });
    texts.push(`-- ${title}`, ...rows.map((row) => row.format), "");
  }
  return texts.join("\n");
}
