import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CATALOGUE, type MetricDefinition } from "../../src/metrics/catalogue.ts";
import { metricsMarkdown } from "../../docs/generate/metrics.ts";

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

it("every metric is in a test of its values", () => {
  const folder = join(import.meta.dirname, "..");
  const files = globSync("{integration/metrics*,unit/metrics-values}.test.ts", { cwd: folder });
  const tests = files.map((file) => readFileSync(join(folder, file), "utf8")).join("");
  const isTested = ({ name, type }: MetricDefinition): boolean =>
    tests.includes(type === "histogram" ? name.slice("pgnetd_".length).replace(/_seconds$/, "") : name);
  expect(METRICS.filter((metric) => !isTested(metric)).map(({ name }) => name)).toEqual([]);
});
