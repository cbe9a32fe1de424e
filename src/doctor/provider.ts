import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";

/** Who runs the server; `plain` is anybody who can use `alter system`. */
export type Provider =
  | "plain"
  | "rds"
  | "aurora"
  | "cloud-sql"
  | "alloydb"
  | "azure"
  | "supabase"
  | "neon"
  | "aiven"
  | "crunchy";

/** What they call themselves. */
export const PROVIDER_NAMES: Readonly<Record<Provider, string>> = {
  plain: "PostgreSQL",
  rds: "Amazon RDS",
  aurora: "Amazon Aurora",
  "cloud-sql": "Google Cloud SQL",
  alloydb: "Google AlloyDB",
  azure: "Azure Database for PostgreSQL",
  supabase: "Supabase",
  neon: "Neon",
  aiven: "Aiven",
  crunchy: "Crunchy Bridge",
};

/** What a server shows of who runs it. */
export interface ProviderSigns {
  /** What the names of its settings have before the dot, such as `rds`. */
  readonly settings: readonly string[];
  readonly roles: readonly string[];
  /** Whether it has the function `aurora_version`. */
  readonly aurora: boolean;
}

interface Marks {
  readonly settings: readonly string[];
  readonly roles: readonly string[];
}

/** Those with marks of several come first: AlloyDB has some of Cloud SQL's roles. */
const MARKS: readonly (readonly [Exclude<Provider, "plain" | "aurora">, Marks])[] = [
  ["neon", { settings: ["neon"], roles: ["neon_superuser"] }],
  ["alloydb", { settings: ["alloydb"], roles: ["alloydbsuperuser"] }],
  ["cloud-sql", { settings: ["cloudsql"], roles: ["cloudsqlsuperuser"] }],
  ["azure", { settings: ["azure"], roles: ["azure_pg_admin"] }],
  ["rds", { settings: ["rds"], roles: ["rds_superuser"] }],
  ["supabase", { settings: ["supautils"], roles: ["supabase_admin"] }],
  ["aiven", { settings: ["aiven"], roles: ["_aiven", "avnadmin"] }],
  ["crunchy", { settings: ["crunchy"], roles: ["crunchy_superuser", "crunchy_pooler", "crunchy_read"] }],
];

/** Who runs the server. Settings count for more than roles, which a dump brings along. */
export function recogniseProvider({ settings, roles, aurora }: ProviderSigns): Provider {
  const has = (found: readonly string[], marks: readonly string[]): boolean => marks.some((one) => found.includes(one));
  const marked =
    MARKS.find(([, marks]) => has(settings, marks.settings)) ?? MARKS.find(([, marks]) => has(roles, marks.roles));
  const provider = marked?.[0] ?? "plain";
  return provider === "rds" && aurora ? "aurora" : provider;
}

const SELECT = `
select array(
    select distinct pg_catalog.split_part(name, '.', 1) from pg_catalog.pg_settings where name like '%.%'
  ) as settings,
  array(select rolname::text from pg_catalog.pg_roles where rolname = any ($1::name[])) as roles,
  exists (
    select from pg_catalog.pg_proc where proname = 'aurora_version' and pronamespace = 'pg_catalog'::regnamespace
  ) as aurora`;

const rowSchema = z.object({ settings: z.array(z.string()), roles: z.array(z.string()), aurora: z.boolean() });

/** Reads what the server shows of who runs it. */
export async function readProvider(db: Queryable): Promise<Provider> {
  const { rows } = await db.query({ text: SELECT, values: [MARKS.flatMap(([, { roles }]) => roles)] });
  return recogniseProvider(rowSchema.parse(rows[0]));
}
