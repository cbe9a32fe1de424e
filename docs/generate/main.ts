import { writeFileSync } from "node:fs";
import { configurationMarkdown, exampleYaml } from "./configuration.ts";
import { metricsMarkdown } from "./metrics.ts";

// `npm run docs`: writes what is made from the tables of settings and of metrics.
const root = new URL("../../", import.meta.url);
writeFileSync(new URL("docs/configuration.md", root), configurationMarkdown());
writeFileSync(new URL("config/pgnetd.example.yaml", root), exampleYaml());
writeFileSync(new URL("docs/metrics.md", root), metricsMarkdown());
