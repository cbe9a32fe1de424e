import { readFileSync } from "node:fs";
import { expect, it, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { CATALOGUE, LABELS, type MetricDefinition } from "../../src/metrics/catalogue.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const METRICS = Object.values(CATALOGUE).flatMap((section) => Object.values<MetricDefinition>(section));
const NAMES = new Set(
  METRICS.flatMap(({ name, type }) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);
const WORDS = new Set(Object.values(LABELS).flatMap((values) => values ?? []));

const recordSchema = z.strictObject({ record: z.string(), expr: z.string() });
const alertSchema = z.object({
  alert: z.string(),
  expr: z.string(),
  labels: z.object({ severity: z.enum(["critical", "warning"]) }),
  annotations: z.object({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
});
const rulesSchema = z.object({
  groups: z.array(z.object({ rules: z.array(z.union([recordSchema, alertSchema])) })),
});
const ALL_RULES = rulesSchema.parse(parse(read("config/prometheus/alerts.yaml"))).groups.flatMap(({ rules }) => rules);
const RECORDS = ALL_RULES.filter((rule) => "record" in rule);
const RULES = ALL_RULES.filter((rule) => "alert" in rule);

const panelsSchema = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) })),
});
const PANELS = panelsSchema
  .parse(JSON.parse(read("config/grafana/pgnetd.json")))
  .panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));

/** Metrics of ours that an expression names and that there are not, and values of labels that there are not. */
function unknownIn(expr: string): readonly string[] {
  const names = expr.match(/\bpgnetd_[a-z_]+/g) ?? [];
  const values = [...expr.matchAll(/(\w+)=~?"([^"]*)"/g)].flatMap(([, label = "", text = ""]) =>
    label in LABELS && LABELS[label as keyof typeof LABELS] !== null ? text.split("|") : [],
  );
  return [...names.filter((name) => !NAMES.has(name)), ...values.filter((value) => !WORDS.has(value as never))];
}

test.for(RECORDS)("$record is recorded of metrics that there are, and an alert is on it", ({ record, expr }) => {
  expect(unknownIn(expr)).toEqual([]);
  expect(RULES.some((rule) => rule.expr.includes(record))).toBe(true);
});

test.for(RULES)("the alert $alert is on metrics that there are, and has its section in the guide", (rule) => {
  expect(unknownIn(rule.expr)).toEqual([]);
  expect(rule.annotations.runbook_url).toBe(`docs/operations.md#${rule.alert.toLowerCase()}`);
  expect(read("docs/operations.md")).toContain(`\n### ${rule.alert}\n`);
});

test.for(RULES)("a test for promtool has $alert firing, and one has it silent", ({ alert }) => {
  const tests = read("config/prometheus/alerts.test.yaml");
  expect(tests).toContain(`ALERTS{alertname="${alert}", alertstate="firing"}`);
  expect(tests).toMatch(new RegExp(`alertname: ${alert}, exp_alerts: \\[\\]`));
});

it("the dashboard shows metrics that there are", () => {
  expect(PANELS.length).toBeGreaterThan(10);
  expect(PANELS.filter(({ expr }) => unknownIn(expr).length > 0)).toEqual([]);
});
