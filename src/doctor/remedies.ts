import pg from "pg";

import type { Provider } from "./provider.ts";

/** A setting of the server that is to have another value. */
export interface WantedParameter {
  readonly name:
    | "wal_level"
    | "max_replication_slots"
    | "max_wal_senders"
    | "max_slot_wal_keep_size"
    | "autovacuum"
    | "output_plugin_libraries";
  /** Names of a list are joined by commas alone. */
  readonly value: string;
  /** Whether PostgreSQL must be restarted for it. */
  readonly restart: boolean;
}

/** The command that gives a setting of the server another value. */
export function setParameter(provider: Provider, parameter: WantedParameter): string {
  const { name, value, restart } = parameter;
  switch (provider) {
    case "plain": {
      const after = restart ? "-- then restart PostgreSQL" : "select pg_reload_conf();";
      // Of a list each name is a literal of its own: one with commas in it would be one name.
      return `alter system set ${name} = ${value.split(",").map(pg.escapeLiteral).join(", ")}; ${after}`;
    }
    case "rds":
      return `aws rds modify-db-parameter-group --db-parameter-group-name <group> --parameters ${awsParameter(parameter)}${
        restart ? " && aws rds reboot-db-instance --db-instance-identifier <instance>" : ""
      }`;
    case "aurora":
      return `aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name <group> --parameters ${awsParameter(parameter)}${
        restart ? " && aws rds reboot-db-instance --db-instance-identifier <writer>" : ""
      }`;
    case "cloud-sql":
      return `gcloud sql instances patch <instance> --database-flags=${googleFlag("cloudsql", parameter)}  # with all flags that are set already: it replaces them${restart ? ", and restarts" : ""}`;
    case "alloydb":
      return `gcloud alloydb instances update <instance> --cluster=<cluster> --region=<region> --database-flags=${googleFlag("alloydb", parameter)}  # with all flags that are set already: it replaces them${restart ? ", and restarts" : ""}`;
    case "azure":
      if (name === "max_slot_wal_keep_size") {
        return "az postgres flexible-server update --resource-group <group> --name <server> --storage-auto-grow Enabled  # the setting is fixed on Azure: alert on retained WAL, too";
      }
      return `az postgres flexible-server parameter set --resource-group <group> --server-name <server> --name ${name} --value ${inMegabytes(parameter)}${
        restart ? " && az postgres flexible-server restart --resource-group <group> --name <server>" : ""
      }`;
    case "supabase":
      return `supabase --experimental postgres-config update --project-ref <project> --config ${supabaseConfig(parameter)}${restart ? "  # it restarts" : ""}`;
    case "neon":
      return name === "wal_level"
        ? `curl -X PATCH https://console.neon.tech/api/v2/projects/<project> -H "Authorization: Bearer $NEON_API_KEY" -H "Content-Type: application/json" -d '{"project":{"settings":{"enable_logical_replication":true}}}'  # or Settings, Logical Replication in the console; it restarts`
        : `ask Neon's support to set ${name} = ${value}: it is not for customers to change`;
    case "aiven":
      return `avn service update <service> -c pg.${name}=${inMegabytes(parameter)}${restart ? "  # it restarts" : ""}`;
    case "crunchy":
      return `cb config-param set --cluster <cluster> ${name}=${value}${restart ? " && cb restart <cluster>" : ""}`;
  }
}

/** On RDS `wal_level` follows a parameter of its own, and sizes are in megabytes. */
function awsParameter(parameter: WantedParameter): string {
  const [name, value] =
    parameter.name === "wal_level" ? ["rds.logical_replication", "1"] : [parameter.name, quotedList(parameter)];
  return `"ParameterName=${name},ParameterValue=${value},ApplyMethod=${parameter.restart ? "pending-reboot" : "immediate"}"`;
}

/** The AWS command line takes a comma for the end of the value where it is not in quotes. */
function quotedList(parameter: WantedParameter): string {
  return isList(parameter) ? `'${parameter.value}'` : inMegabytes(parameter);
}

/** Supabase's takes it for the end of the parameter. */
function supabaseConfig(parameter: WantedParameter): string {
  const config = `${parameter.name}=${parameter.value}`;
  return isList(parameter) ? `'"${config}"'` : config;
}

function isList({ value }: WantedParameter): boolean {
  return value.includes(",");
}

function googleFlag(prefix: "cloudsql" | "alloydb", parameter: WantedParameter): string {
  if (parameter.name === "wal_level") return `${prefix}.logical_decoding=on`;
  // gcloud topic escaping: what is between the carets separates flags, in place of the comma.
  return `${isList(parameter) ? "^:^" : ""}${parameter.name}=${inMegabytes(parameter)}`;
}

/** Sizes as a number of megabytes, the unit of the setting itself, where the tool takes numbers alone. */
function inMegabytes({ value }: WantedParameter): string {
  const gigabytes = /^(\d+)GB$/.exec(value)?.[1];
  return gigabytes === undefined ? value : String(Number(gigabytes) * 1024);
}

/** The command that gives a role the right to replicate. */
export function grantReplication(provider: Provider, role: string): string {
  const name = pg.escapeIdentifier(role);
  switch (provider) {
    case "rds":
    case "aurora":
      return `grant rds_replication to ${name}; -- as a member of rds_superuser`;
    case "neon":
      return `create the role in the console or with the API: such roles may replicate; then use it in place of ${name}`;
    case "cloud-sql":
    case "alloydb":
      return `alter role ${name} with replication; -- as a member of ${provider === "alloydb" ? "alloydbsuperuser" : "cloudsqlsuperuser"}`;
    case "azure":
      return `alter role ${name} with replication; -- as the server's administrator`;
    case "aiven":
      return `alter role ${name} with replication; -- as avnadmin`;
    case "supabase":
    case "crunchy":
      return `alter role ${name} with replication; -- as postgres`;
    case "plain":
      return `alter role ${name} with replication; -- as a superuser`;
  }
}

/** What leads to PostgreSQL itself, in place of a pooler. */
export function directUrl(provider: Provider | null, host: string): string {
  if (provider === "neon" || /-pooler\./.test(host)) return "take -pooler out of the host in DATABASE_URL";
  if (provider === "supabase" || host.endsWith(".pooler.supabase.com")) {
    return "use the direct connection in DATABASE_URL: db.<project>.supabase.co, port 5432, user postgres";
  }
  if (/\.proxy-/.test(host))
    return "use the endpoint of the instance or cluster in DATABASE_URL, in place of the proxy's";
  return "give DATABASE_URL the host and port of PostgreSQL itself, usually 5432";
}
