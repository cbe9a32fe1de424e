import { readFileSync, writeFileSync } from "node:fs";
import { configurationMarkdown, exampleYaml } from "./configuration.ts";
import { metricsMarkdown } from "./metrics.ts";
import { prometheusRule } from "./prometheus-rule.ts";

// `npm run docs`: writes what is made from the tables of settings and of metrics, and from the alerts.
const at = (path: string): URL => new URL(`../../${path}`, import.meta.url);
writeFileSync(at("docs/configuration.md"), configurationMarkdown());
writeFileSync(at("config/pgnetd.example.yaml"), exampleYaml());
writeFileSync(at("docs/metrics.md"), metricsMarkdown());
const alerts = readFileSync(at("config/prometheus/alerts.yaml"), "utf8");
writeFileSync(at("config/kubernetes/monitoring/prometheus-rule.yaml"), prometheusRule(alerts));
