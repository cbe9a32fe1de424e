import pg from "pg";
import { expect, test } from "vitest";
import { judgePooler, judgeVersion } from "../../src/doctor/connection.ts";
import type { Probed } from "../../src/doctor/connection-probe.ts";
import { selectChecks } from "../../src/doctor/select.ts";
import { isPluginTrusted, trustedWith } from "../../src/doctor/stream.ts";
import { firstLimit, raisedLimit } from "../../src/doctor/wal-limit.ts";
import { isLogical, standbysNeeded } from "../../src/doctor/server.ts";

const direct: Probed = { kind: "open", announced: 4711, actual: 4711 };
const other: Probed = { kind: "open", announced: 1_700_000_000, actual: 4711 };

function failed(code: string, routine?: string): Probed {
  return { kind: "failed", error: Object.assign(new pg.DatabaseError("no", 1, "error"), { code, routine }) };
}

const DB = "db.example.com";
const NEON = "ep-cool-a1.us-east-2.aws.neon.tech";

test.for([
  ["a direct connection is none", DB, 5432, direct, direct, "ok"],
  ["a missing right to replicate is none", DB, 5432, direct, failed("42501", "InitPostgres"), "ok"],
  ["a refusal without a routine is one", DB, 5432, failed("08P01"), failed("08P01"), "fail"],
  ["replication refused without a routine is one", DB, 5432, other, failed("08P01"), "fail"],
  ["another process id, and no replication, is one", DB, 5432, other, failed("08P01", "x"), "fail"],
  ["another process id with replication is one to warn of", DB, 5432, other, other, "warn"],
  ["a wrong password is no sign, whoever says so", DB, 5432, failed("28P01"), failed("28P01"), "skip"],
  ["Neon's own proxy is none", NEON, 5432, other, other, "ok"],
  ["an error of Neon's own proxy is no pooler", NEON, 5432, failed("XX000"), failed("XX000"), "skip"],
  ["Neon's pooler is one", NEON.replace(".", "-pooler."), 5432, other, failed("08P01"), "fail"],
  ["Supavisor is one", "aws-0-eu.pooler.supabase.com", 6543, direct, failed("42501", "x"), "fail"],
  ["RDS Proxy is one", "p.proxy-abc.eu-west-1.rds.amazonaws.com", 5432, other, failed("0A000"), "fail"],
  [
    "Crunchy Bridge's port for PgBouncer is one",
    "p.x.db.postgresbridge.com",
    5431,
    direct,
    failed("42501", "x"),
    "fail",
  ],
] as const)("pooler: %s", ([, host, port, ordinary, replication, status]) => {
  expect(judgePooler({ host, port, ordinary, replication }).status).toBe(status);
});

test.for([
  [13_00_21, "fail"],
  [14_00_00, "ok"],
  [18_00_04, "ok"],
  [19_00_00, "warn"],
] as const)("server-version: %d is judged %s", ([version, status]) => {
  expect(judgeVersion(version).status).toBe(status);
});

test.for([
  ["logical", null, true],
  ["replica", null, false],
  ["minimal", null, false],
  ["replica", "replica", true],
  ["replica", "logical", true],
  ["minimal", "minimal", false],
] as const)("wal_level %s with effective_wal_level %s lets a slot decode: %s", ([configured, effective, logical]) => {
  expect(isLogical({ configured, effective })).toBe(logical);
});

test.for([
  ["", 0],
  ["a", 1],
  ["*", 1],
  ["a, b", 1],
  ["2 (a, b, c)", 2],
  ["FIRST 2 (a, b)", 2],
  ["any 3(a, b, c)", 3],
] as const)("synchronous_standby_names %j waits for %d", ([names, needed]) => {
  expect(standbysNeeded(names)).toBe(needed);
});

test.for([
  ["pgoutput", "", true],
  ["wal2json", null, true],
  ["wal2json", "pgoutput", false],
  ["wal2json", "pgoutput, test_decoding, wal2json", true],
  ["wal2json", '"pgoutput, wal2json"', false],
] as const)("%s is trusted by output_plugin_libraries %j: %s", ([plugin, trusted, isTrusted]) => {
  expect(isPluginTrusted(plugin, trusted)).toBe(isTrusted);
});

test.for([
  ["pgoutput, test_decoding", "pgoutput,test_decoding,wal2json"],
  ["decoderbufs,pgoutput", "pgoutput,decoderbufs,wal2json"],
  ["", "pgoutput,wal2json"],
  ['"pgoutput, wal2json"', "pgoutput,wal2json"],
] as const)("wal2json is added to output_plugin_libraries %j", ([trusted, all]) => {
  expect(trustedWith("wal2json", trusted)).toBe(all);
});

test.for([
  [50 * 1024, 40, "100GB"],
  [4 * 1024, 3.5, "8GB"],
  [64, 0.05, "1GB"],
  [10 * 1024, 40, "80GB"],
] as const)(
  "a max_slot_wal_keep_size of %d MB, with %d GiB retained, is raised to %s",
  ([megabytes, retained, raised]) => {
    expect(raisedLimit(megabytes, retained * 1024 ** 3)).toBe(raised);
  },
);

test.for([
  [0, "4GB"],
  [2, "4GB"],
  [3, "6GB"],
  [20, "40GB"],
] as const)(
  "where max_slot_wal_keep_size has no limit and some slot retains %d GiB, %s is proposed: a lower one would invalidate the slot",
  ([retained, proposed]) => {
    expect(firstLimit(4 * 1024 ** 3, retained * 1024 ** 3)).toBe(proposed);
  },
);

test("checks are chosen and skipped by id and by group", () => {
  const ids = (only: readonly string[], skip: readonly string[]): readonly string[] =>
    selectChecks({ only, skip, before: false }).map(({ id }) => id);
  expect(ids(["wal-level", "connection"], ["primary"])).toEqual(
    ids([], []).filter((id) => ["wal-level", "pooler", "login", "server-version"].includes(id)),
  );
  expect(ids([], ["server"])).not.toContain("slots-free");
  expect(() => ids(["wal-levle"], [])).toThrow("there is no check and no group wal-levle; did you mean wal-level?");
});

test("before anything is installed other checks run than after", () => {
  const ids = (before: boolean): readonly string[] =>
    selectChecks({ only: ["rights"], skip: [], before }).map(({ id }) => id);
  expect(ids(true)).toContain("create-right");
  expect(ids(true)).not.toContain("table-rights");
  expect(ids(false)).not.toContain("create-right");
  expect(() => selectChecks({ only: ["create-right"], skip: [], before: false })).toThrow(
    "none of these checks runs without --pre",
  );
});
