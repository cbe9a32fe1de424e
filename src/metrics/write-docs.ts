import { writeFileSync } from "node:fs";
import { metricsMarkdown } from "./markdown.ts";

// Part of `npm run docs`: writes what is made from the catalogue of metrics.
writeFileSync(new URL("../../docs/metrics.md", import.meta.url), metricsMarkdown());
