import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CATALOGUE, type MetricDefinition } from "../../src/metrics/catalogue.ts";
import { metricsMarkdown } from "../../src/metrics/markdown.ts";

const METRICS = Object.values(CATALOGUE).flatMap((section) => Object.values<MetricDefinition>(section));

it("docs/metrics.md is made from the catalogue; npm run docs writes it", () => {
  expect(readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8")).toBe(metricsMarkdown());
});

it("names are unique and follow Prometheus's conventions: counters end in _total, units are seconds and bytes", () => {
  const names = METRICS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, type } of METRICS) {
    expect(name).toMatch(/^pgnetd_[a-z_]+$/);
    expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|mb|mib|percent)(_|$)/);
  }
});
