import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { configurationMarkdown, exampleYaml } from "../../docs/generate/configuration.ts";
import { ALL_SETTINGS } from "../../src/config/settings.ts";

const EXAMPLE = fileURLToPath(new URL("../../config/pgnetd.example.yaml", import.meta.url));

it("docs/configuration.md is made from the table; npm run docs writes it", () => {
  expect(readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")).toBe(configurationMarkdown());
});

it("config/pgnetd.example.yaml is made from the table; npm run docs writes it", () => {
  expect(readFileSync(EXAMPLE, "utf8")).toBe(exampleYaml());
});

it("the example changes nothing", () => {
  const env = { DATABASE_URL: "postgres://db/app" };
  expect(loadConfig({ env, file: EXAMPLE })).toEqual(loadConfig({ env }));
});

it("no two settings share a variable", () => {
  const names = ALL_SETTINGS.map(({ env }) => env);
  expect(new Set(names).size).toBe(names.length);
});
