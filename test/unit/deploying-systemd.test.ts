import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { descriptorsNeeded, memoryNeeded } from "../../src/doctor/host.ts";
import { bytesOf, systemdUnit, textOf } from "../support/deployment-files.ts";
import { ROOT } from "../support/markdown.ts";

const UNIT = systemdUnit(textOf("config/systemd/pgnetd.service"));
const ENVIRONMENT = textOf("config/systemd/environment");
const config = loadConfig({ env: parseEnv(ENVIRONMENT) });

function one(key: string): string {
  const values = UNIT.get(key) ?? [];
  expect([key, values]).toEqual([key, [expect.any(String)]]);
  return values.join();
}

it("the unit runs what is in the repository, which is at /opt/pgnetd", () => {
  const paths = Array.from(one("ExecStart").matchAll(/\/opt\/pgnetd\/(\S+)/g), ([, path = ""]) => path);
  expect(paths).toHaveLength(1);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

it("the unit sets variables that are settings, and those of Node as the image has them", () => {
  const variables = parseEnv((UNIT.get("Environment") ?? []).join("\n"));
  expect(loadConfig({ env: { DATABASE_URL: "postgres://db/app", ...variables } })).toBeDefined();
  const { NODE_COMPILE_CACHE: cache, ...same } = variables;
  expect(Object.keys(same).length).toBeGreaterThan(0);
  for (const [name, value] of Object.entries(same)) expect(textOf("Dockerfile")).toContain(`ENV ${name}=${value}\n`);
  expect(cache).toBe(`%C/${one("CacheDirectory")}`);
});

it("each variable of the example environment is a setting, also where it is commented out", () => {
  const all = parseEnv(ENVIRONMENT.replaceAll(/^#(?=\w+=)/gm, ""));
  expect(Object.keys(all).length).toBeGreaterThan(Object.keys(parseEnv(ENVIRONMENT)).length);
  expect(loadConfig({ env: all })).toBeDefined();
});

it("the unit gives the daemon the time, the descriptors and the memory that it may need", () => {
  const longestStopMs = config.stop.graceMs + config.database.statementTimeoutMs;
  expect(Number(one("TimeoutStopSec")) * 1000).toBeGreaterThan(longestStopMs);
  expect(Number(one("LimitNOFILE"))).toBeGreaterThanOrEqual(descriptorsNeeded(config));
  expect(bytesOf(one("MemoryMax"))).toBeGreaterThanOrEqual(memoryNeeded(config));
});

it("the unit lets the daemon ask which addresses the machine has: Node does so over netlink", () => {
  expect(one("RestrictAddressFamilies").split(" ").toSorted()).toEqual([
    "AF_INET",
    "AF_INET6",
    "AF_NETLINK",
    "AF_UNIX",
  ]);
});

it("unit and image say that they know host and port as variables alone, where they ask the daemon", () => {
  for (const path of ["config/systemd/pgnetd.service", "Dockerfile"]) {
    expect(textOf(path)).toMatch(/^# Host and port are .*PGNETD_HOST.*PGNETD_PORT.*settings file/m);
  }
});
