import { expect, test } from "vitest";
import { type Provider, PROVIDER_NAMES, type ProviderSigns, recogniseProvider } from "../../src/doctor/provider.ts";
import { directUrl, grantReplication, setParameter } from "../../src/doctor/remedies.ts";

/** What servers of each provider show, less what all of them have. */
const FIXTURES: readonly (readonly [Provider, ProviderSigns])[] = [
  ["plain", { settings: ["plpgsql"], roles: [], aurora: false }],
  ["plain", { settings: [], roles: [], aurora: true }],
  ["rds", { settings: ["rds", "pg_stat_statements"], roles: ["rds_superuser"], aurora: false }],
  ["rds", { settings: ["rds"], roles: ["supabase_admin", "rds_superuser"], aurora: false }],
  ["aurora", { settings: ["rds", "apg_plan_mgmt"], roles: ["rds_superuser"], aurora: true }],
  ["cloud-sql", { settings: ["cloudsql"], roles: ["cloudsqlsuperuser"], aurora: false }],
  ["alloydb", { settings: ["alloydb"], roles: ["alloydbsuperuser", "cloudsqlsuperuser"], aurora: false }],
  ["azure", { settings: ["azure"], roles: ["azure_pg_admin"], aurora: false }],
  ["supabase", { settings: ["supautils", "pgsodium"], roles: ["supabase_admin"], aurora: false }],
  ["supabase", { settings: [], roles: ["supabase_admin"], aurora: false }],
  ["neon", { settings: ["neon"], roles: ["neon_superuser"], aurora: false }],
  ["aiven", { settings: [], roles: ["_aiven", "avnadmin"], aurora: false }],
  ["crunchy", { settings: [], roles: ["crunchy_superuser"], aurora: false }],
];

const PROVIDERS = Object.keys(PROVIDER_NAMES) as Provider[];

test.for(FIXTURES)("a server of %s is recognised by %j", ([provider, signs]) => {
  expect(recogniseProvider(signs)).toBe(provider);
});

test("every provider has a fixture", () => {
  expect(new Set(FIXTURES.map(([provider]) => provider))).toEqual(new Set(PROVIDERS));
});

const TOOLS: Readonly<Record<Provider, string>> = {
  plain: "alter system set ",
  rds: "aws rds modify-db-parameter-group ",
  aurora: "aws rds modify-db-cluster-parameter-group ",
  "cloud-sql": "gcloud sql instances patch ",
  alloydb: "gcloud alloydb instances update ",
  azure: "az postgres flexible-server parameter set ",
  supabase: "supabase --experimental postgres-config update ",
  neon: "curl -X PATCH https://console.neon.tech/api/v2/projects/",
  aiven: "avn service update ",
  crunchy: "cb config-param set ",
};

test.for(PROVIDERS)("settings of %s are changed with its own tool", (provider) => {
  expect(setParameter(provider, { name: "wal_level", value: "logical", restart: true })).toContain(TOOLS[provider]);
});

test.for([
  ["rds", "wal_level", "rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot"],
  ["rds", "max_slot_wal_keep_size", "max_slot_wal_keep_size,ParameterValue=10240,ApplyMethod=immediate"],
  ["cloud-sql", "wal_level", "cloudsql.logical_decoding=on"],
  ["alloydb", "wal_level", "alloydb.logical_decoding=on"],
  ["azure", "max_slot_wal_keep_size", "--storage-auto-grow Enabled"],
  ["neon", "max_slot_wal_keep_size", "ask Neon's support"],
  ["aiven", "max_slot_wal_keep_size", "-c pg.max_slot_wal_keep_size=10240"],
  ["crunchy", "max_slot_wal_keep_size", "max_slot_wal_keep_size=10GB"],
  ["plain", "max_slot_wal_keep_size", "alter system set max_slot_wal_keep_size = '10GB'; select pg_reload_conf();"],
] as const)("on %s %s is changed by %s", ([provider, name, command]) => {
  const isLevel = name === "wal_level";
  const wanted = { name, value: isLevel ? "logical" : "10GB", restart: isLevel };
  expect(setParameter(provider, wanted)).toContain(command);
});

test.for([
  ["plain", "alter system set output_plugin_libraries = 'pgoutput', 'wal2json'; select pg_reload_conf();"],
  ["rds", "ParameterName=output_plugin_libraries,ParameterValue='pgoutput,wal2json',ApplyMethod=immediate"],
  ["cloud-sql", "--database-flags=^:^output_plugin_libraries=pgoutput,wal2json"],
  ["alloydb", "--database-flags=^:^output_plugin_libraries=pgoutput,wal2json"],
  ["azure", "--name output_plugin_libraries --value pgoutput,wal2json"],
  ["supabase", `--config '"output_plugin_libraries=pgoutput,wal2json"'`],
  ["aiven", "-c pg.output_plugin_libraries=pgoutput,wal2json"],
] as const)("on %s a list is one value of its tool: %s", ([provider, command]) => {
  const wanted = { name: "output_plugin_libraries", value: "pgoutput,wal2json", restart: false } as const;
  expect(setParameter(provider, wanted)).toContain(command);
});

test.for(PROVIDERS)("the right to replicate has a remedy on %s", (provider) => {
  const remedy = grantReplication(provider, "My Role");
  expect(remedy).toContain('"My Role"');
  expect(remedy.startsWith("grant rds_replication")).toBe(provider === "rds" || provider === "aurora");
});

test.for([
  [null, "ep-cool-a1-pooler.us-east-2.aws.neon.tech", "-pooler"],
  [null, "aws-0-eu-west-1.pooler.supabase.com", "db.<project>.supabase.co"],
  [null, "shop.proxy-abc.eu-west-1.rds.amazonaws.com", "endpoint of the instance"],
  ["supabase", "10.0.0.7", "db.<project>.supabase.co"],
  [null, "db.example.com", "PostgreSQL itself"],
] as const)("for %s and the host %s the way around a pooler has %s in it", ([provider, host, text]) => {
  expect(directUrl(provider, host)).toContain(text);
});
