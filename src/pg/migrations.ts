import { readFile } from "node:fs/promises";

/** The migrations in order: the position of a file here is its number, and its name begins with it. Forward only. */
export const MIGRATIONS = [
  "0001_schema.sql",
  "0002_urls.sql",
  "0003_requests.sql",
  "0004_any_request.sql",
  "0005_responses.sql",
  "0006_control.sql",
  "0007_moving_in.sql",
  "0008_environment.sql",
  "0009_hardening.sql",
  "0010_lanes.sql",
  "0011_lane_indexes.sql",
  "0012_lane_status.sql",
  "0013_traceparent.sql",
  "0014_dead_letter_lane.sql",
  "0015_lane_authority.sql",
  "0016_lane_function.sql",
  "0017_lane_function_indexes.sql",
  "0018_hidden_keys.sql",
  "0019_installation_mark.sql",
  "0020_dead_letter_mark.sql",
  "0021_all_lanes.sql",
  "0022_no_foreign_keys.sql",
  "0023_own_types.sql",
] as const;

/** The schema version that this pgnetd works with. */
export const LATEST_VERSION: number = MIGRATIONS.length;

/** The first version that knows environments. */
export const ENVIRONMENT_VERSION: number = MIGRATIONS.indexOf("0008_environment.sql") + 1;

/** The first version where no foreign key can refer to a table that every role has REFERENCES on. */
export const NO_FOREIGN_KEYS_VERSION: number = MIGRATIONS.indexOf("0022_no_foreign_keys.sql") + 1;

/** The version of the schema, where there is one. */
export const SELECT_VERSION = "select coalesce(pg_catalog.max(version), 0) as version from net.pgnetd_migrations";

/** Records one migration by its number and its name. */
export const INSERT_VERSION = "insert into net.pgnetd_migrations (version, name) values ($1, $2)";

/** Where the migrations and the optional parts are. */
export const SQL_FOLDER = new URL("../../sql/", import.meta.url);

/** The text of one file of `sql/`. */
export async function readSql(name: string): Promise<string> {
  return readFile(new URL(name, SQL_FOLDER), "utf8");
}
