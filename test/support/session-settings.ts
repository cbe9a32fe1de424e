import type { TestDatabase } from "./postgres.ts";

/** A value to give a setting for a session. */
export interface SettingValue {
  readonly name: string;
  readonly value: string;
}

interface Row {
  readonly name: string;
  readonly category: string;
  readonly vartype: string;
  readonly setting: string;
  readonly enumvals: readonly string[] | null;
}

/** Settings that only say how fast, where or how long something is done, by their category. */
const PERFORMANCE = [
  "Query Tuning",
  "Resource Usage",
  "Connections and Authentication",
  "Replication",
  "Reporting and Logging",
  "Statistics",
  "Vacuuming",
  "Write-Ahead Log",
];

/** Settings that cannot be tried by setting them, or end what they are tried with. */
const UNTRIED: Readonly<Record<string, string>> = {
  exit_on_error: "ends the session at the first error",
  default_transaction_read_only: "nothing can be written; that is what it is for",
  transaction_read_only: "of one transaction; the default of new ones is tried",
  transaction_isolation: "of one transaction; the default of new ones is tried",
  transaction_deferrable: "of one transaction; the default of new ones is tried",
  statement_timeout: "ends statements",
  lock_timeout: "ends statements",
  transaction_timeout: "ends transactions",
  idle_in_transaction_session_timeout: "ends sessions",
  idle_session_timeout: "ends sessions",
  gin_pending_list_limit: "of indexes that there are none of",
  local_preload_libraries: "cannot be set in a session",
  default_tablespace: "needs a tablespace",
  temp_tablespaces: "needs a tablespace",
};

/** Unusual values of settings that have no list of values. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  DateStyle: ["SQL, DMY", "German", "Postgres, YMD"],
  TimeZone: ["Asia/Kolkata", "Pacific/Kiritimati"],
  timezone_abbreviations: ["India"],
  extra_float_digits: ["-15", "3"],
  client_encoding: ["LATIN1", "SQL_ASCII"],
  default_text_search_config: ["pg_catalog.german"],
  lc_monetary: ["C"],
  lc_numeric: ["C"],
  lc_time: ["C"],
  gin_fuzzy_search_limit: ["1"],
  search_path: ["", "pg_temp", "evil, pg_catalog"],
  createrole_self_grant: ["set, inherit"],
  restrict_nonsystem_relation_kind: ["view, foreign-table"],
  default_table_access_method: ["heap"],
  "plpgsql.extra_errors": ["all"],
  "plpgsql.extra_warnings": ["all"],
};

/** Of PL/pgSQL, for superusers, and so for whole databases and roles. */
const MORE: readonly SettingValue[] = [
  { name: "plpgsql.variable_conflict", value: "use_column" },
  { name: "plpgsql.variable_conflict", value: "use_variable" },
];

/**
 * Every value other than the present one of each setting that any role may change, as far as it could change what a
 * statement means or returns. Throws for a setting that this file does not know.
 */
export async function callersSettings(db: TestDatabase): Promise<readonly SettingValue[]> {
  await db.query("do 'begin end'");
  const rows = await db.query<Row & Record<string, unknown>>(
    "select name, category, vartype, setting, enumvals from pg_settings where context = 'user' order by name",
  );
  return [
    ...rows.filter(({ name }) => UNTRIED[name] === undefined && !name.startsWith("vacuum_")).flatMap(valuesOf),
    ...MORE,
  ];
}

function valuesOf({ name, category, vartype, setting, enumvals }: Row): readonly SettingValue[] {
  const values = (of: readonly string[]): readonly SettingValue[] =>
    of.filter((value) => value !== setting).map((value) => ({ name, value }));
  if (PERFORMANCE.some((one) => category.startsWith(one))) return [];
  if (vartype === "bool") return values(["on", "off"]);
  if (enumvals !== null) return values(enumvals);
  const known = VALUES[name];
  if (known !== undefined) return values(known);
  throw new Error(
    `${name} (${category}) is a setting that no test knows: say in this file how it is tried, or why not`,
  );
}
