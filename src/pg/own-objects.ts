import { readFileSync } from "node:fs";

import { SQL_FOLDER } from "./migrations.ts";

/** The files that drop what was made, and so name all of it. */
const FILES = { net: "optional/uninstall.sql", supabase_functions: "optional/uninstall_webhooks.sql" } as const;

/** A schema with objects of pgnetd. */
export type OwnSchema = keyof typeof FILES;

/** What the migrations, or the webhooks, made in a schema. Nothing of pgnetd changes or drops anything else there. */
export interface OwnObjects {
  /** With the types of their arguments, such as `net.http_replay(bigint)`. */
  readonly functions: readonly string[];
  readonly tables: readonly string[];
  readonly types: readonly string[];
}

const READ = new Map<OwnSchema, OwnObjects>();

/** What is ours in `schema`. */
export function ownObjects(schema: OwnSchema): OwnObjects {
  let objects = READ.get(schema);
  if (objects === undefined) READ.set(schema, (objects = read(schema)));
  return objects;
}

function read(schema: OwnSchema): OwnObjects {
  const text = readFileSync(new URL(FILES[schema], SQL_FOLDER), "utf8");
  const dropped = (kind: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^drop (?:${kind}) if exists([^;]*);`, "gm"))].flatMap(([, names = ""]) =>
      [...names.matchAll(/\w+\.\w+(?:\([^)]*\))?/g)].map(([name]) => name),
    );
  return { functions: dropped("function"), tables: dropped("table"), types: dropped("type|domain") };
}
