import { writeFileSync } from "node:fs";
import { configurationMarkdown, exampleYaml } from "./markdown.ts";

// `npm run docs`: writes what is made from the table of settings.
const root = new URL("../../", import.meta.url);
writeFileSync(new URL("docs/configuration.md", root), configurationMarkdown());
writeFileSync(new URL("config/pgnetd.example.yaml", root), exampleYaml());
