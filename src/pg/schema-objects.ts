import { readSql } from "./migrations.ts";
import type { Queryable } from "./pool.ts";
import { dumpSchema } from "./schema-dump.ts";

/** What the objects of schema `net` are, by name: comments, rights, storage options and replica identities are for their owner to choose. */
export type SchemaObjects = ReadonlyMap<string, string>;

/** How a database differs from what the migrations make. Objects of others in the schema do not count. */
export interface SchemaDifference {
  readonly missing: readonly string[];
  readonly altered: readonly string[];
}

/** One line of the dump: name, then fields that ` | ` separates; which of them is the definition depends on the kind. */
const LINES: readonly (readonly [kind: RegExp, definition: (fields: readonly string[]) => string])[] = [
  [/^type net\.\S+/, (fields) => fields[2] ?? ""],
  [/^(?:table|sequence) net\.\S+/, (fields) => (fields[1] ?? "").replace(/,.*/, "")],
  [/^column net\.\S+/, (fields) => (fields[1] ?? "").replace(/^\d+ /, "")],
  [/^constraint \S+ on net\.\S+/, (fields) => fields[1] ?? ""],
];

const INDEX = /^index (CREATE (?:UNIQUE )?INDEX (\S+) ON net\..*?) \| /;
const FUNCTION = /^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) (net\.[^\n]*)\n([\s\S]*?)\n\| /;

/** Reads a dump by `dumpSchema`. */
export function schemaObjects(dump: string): SchemaObjects {
  const objects = new Map<string, string>();
  for (const line of dump.split("\n")) {
    const [, statement, name] = INDEX.exec(line) ?? [];
    if (statement !== undefined) objects.set(`index net.${name}`, statement);
    for (const [kind, definition] of LINES) {
      const named = kind.exec(line)?.[0];
      if (named !== undefined) objects.set(named, definition(line.split(" | ")));
    }
  }
  for (const text of dump.split(/^(?=CREATE OR REPLACE )/m)) {
    const [, name, definition] = FUNCTION.exec(text) ?? [];
    if (name !== undefined) objects.set(`function ${name}`, withoutAttributes(definition ?? ""));
  }
  return objects;
}

/** Whose rights a function has and which settings are for its owner to choose, too, as `migrate --grants restricted` does; some `search_path` it must have. */
function withoutAttributes(definition: string): string {
  const [head = "", ...body] = definition.split("\nAS ");
  const lines = head
    .split("\n")
    .map((line) => line.replace(" SECURITY DEFINER", "").replace(/^ SET search_path TO .*/, " SET search_path"))
    .filter((line) => line !== "" && !/^ SET (?!search_path$)/.test(line));
  return [lines.join("\n"), ...body].join("\nAS ");
}

/** Compares `found` with `wanted`. */
export function compareObjects(wanted: SchemaObjects, found: SchemaObjects): SchemaDifference {
  const missing = [...wanted.keys()].filter((name) => !found.has(name));
  const altered = [...wanted].filter(([name, definition]) => found.has(name) && found.get(name) !== definition);
  return { missing, altered: altered.map(([name]) => name) };
}

/** What the migrations of this pgnetd make, as `sql/schema.snapshot.sql` has it. */
export async function wantedObjects(): Promise<SchemaObjects> {
  return schemaObjects(await readSql("schema.snapshot.sql"));
}

/** What there is in the database. Reads the catalog alone. */
export async function foundObjects(db: Queryable): Promise<SchemaObjects> {
  return schemaObjects(await dumpSchema(db, ["net"]));
}
