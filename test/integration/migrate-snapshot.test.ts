import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { testDatabase } from "../support/postgres.ts";
import { dumpSchema } from "../../src/pg/schema-dump.ts";

const SNAPSHOT = new URL("../../sql/schema.snapshot.sql", import.meta.url);
const HEADER = `-- What the migrations and the optional webhooks install, for review. A test compares it with a database, and so does pgnetd doctor.
-- After a change of sql/: UPDATE_SNAPSHOT=1 npx vitest run test/integration/migrate-snapshot.test.ts

`;

test("the schema is what sql/schema.snapshot.sql says", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  const dump = HEADER + (await dumpSchema(db.pool, ["net", "supabase_functions"]));
  if (process.env["UPDATE_SNAPSHOT"] === "1") await writeFile(SNAPSHOT, dump);
  expect(dump).toBe(await readFile(SNAPSHOT, "utf8"));
});

const BARE = `
with ours as (select oid as space from pg_namespace where nspname = any (array['net', 'supabase_functions']))
select 'schema ' || space::regnamespace as bare from ours where obj_description(space, 'pg_namespace') is null
union all select 'type ' || t.oid::regtype from ours join pg_type as t on typnamespace = space
  where (typtype in ('d', 'e') or typtype = 'c' and exists (select from pg_class where oid = typrelid and relkind = 'c'))
    and obj_description(t.oid, 'pg_type') is null
union all select 'relation ' || c.oid::regclass from ours join pg_class as c on relnamespace = space
  where relkind in ('r', 'i') and relname not like '%\\_pkey' and obj_description(c.oid, 'pg_class') is null
union all select 'column ' || c.oid::regclass || '.' || attname from ours join pg_class as c on relnamespace = space
  join pg_attribute on attrelid = c.oid and attnum > 0
  where relkind = 'r' and col_description(c.oid, attnum) is null
union all select 'function ' || p.oid::regprocedure from ours join pg_proc as p on pronamespace = space
  where obj_description(p.oid, 'pg_proc') is null
union all select 'publication ' || pubname from pg_publication where obj_description(oid, 'pg_publication') is null`;

test("every object has a comment, every function a pinned search_path", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  expect(await db.query(BARE)).toEqual([]);
  expect(
    await db.query(
      `select proname from pg_proc where pronamespace = any (array['net', 'supabase_functions']::regnamespace[])
        and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false) order by proname`,
    ),
  ).toEqual([{ proname: "_is_plain_url" }, { proname: "_lane" }]);
});

/** Types that are words of SQL: these are always those of pg_catalog. */
const WORDS = /^(?:bigint|boolean|double|integer|interval|record|timestamp)$/;

test("no body of a function that users call names a type or a table of pg_catalog without its schema", async () => {
  await using db = await testDatabase();
  const rows = await db.query<{ name: string; body: string }>(`
    select p.oid::regprocedure::text as name, p.prosrc as body from pg_proc as p
    where p.pronamespace = 'net'::regnamespace and (p.proname !~ '^_' or p.proname in
      ('_http_collect_response', '_await_response', '_urlencode_string', '_encode_url_with_params_array'))`);
  expect(rows.length).toBeGreaterThan(20);
  const unqualified = rows.flatMap(({ name, body }) => {
    const declared = /\bdeclare\b(.*?)\bbegin\b/s.exec(body)?.[1] ?? "";
    const types = [
      ...body.matchAll(/::\s*(\w+)(?!\w|\.)/g),
      ...declared.matchAll(/^ {2}\w+ (?:constant )?(\w+)(?!\w|\.)/gm),
    ].flatMap(([, type = ""]) => (WORDS.test(type) ? [] : [type]));
    const tables = [...body.matchAll(/\b(?:from|join)\s+(pg_\w+)(?!\w|\.)/g)].map(([, table = ""]) => table);
    return [...types, ...tables].map((what) => `${what} in ${name}`);
  });
  expect(unqualified).toEqual([]);
});
