import { ALL_SETTINGS, type NamedSetting, SECTIONS } from "../../src/config/settings.ts";

/** `docs/configuration.md`, made from the table of settings. */
export function configurationMarkdown(): string {
  const sections = Object.entries(SECTIONS).map(([section, about]) => {
    const rows = ALL_SETTINGS.filter((setting) => setting.section === section).map(row);
    return `## ${section}\n\n${about}\n\n| Setting | Environment | Default | Meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${INTRODUCTION}\n${sections.join("\n")}`;
}

/** `config/pgnetd.example.yaml`, made from the table of settings: every one at its default. */
export function exampleYaml(): string {
  const sections = Object.entries(SECTIONS).map(([section, about]) => {
    const lines = ALL_SETTINGS.filter((setting) => setting.section === section).map(
      (setting) => `${comment(`${setting.env}: ${setting.about.replaceAll("`", "")}`)}${line(setting)}`,
    );
    return `# ${about}\n${section}:\n${lines.join("")}`;
  });
  return `# Every setting at its default; docs/configuration.md says more. Environment variables win over this file.\n\n${sections.join("\n")}`;
}

const INTRODUCTION = `# Configuration

<!-- Made from src/config/settings.ts by \`npm run docs\`. -->

A setting comes from its environment variable, else from the configuration file, else it has its default. Only
\`DATABASE_URL\` is required.

* The file is YAML, in sections: \`rate.perSecond\` is \`perSecond\` below \`rate\`. It is named by \`--config\` or by
  \`PGNETD_CONFIG\`. [pgnetd.example.yaml](../config/pgnetd.example.yaml) has every setting at its default.
* A wrong value, an unknown key in the file and an unknown variable that begins with \`PGNETD_\` are errors (exit code 78);
  all of them are listed at once. An empty variable counts as not set. The variables that Kubernetes sets for a service
  called \`pgnetd\` are ignored.
* \`pgnetd config\` prints what is in effect and where each value came from. Of \`DATABASE_URL\` it shows only what is known to be no
  secret; where the URL cannot be understood, nothing of it, but what is wrong with it. The page's tokens are not shown.
`;

function row(setting: NamedSetting): string {
  const value = setting.kind.rule.replaceAll("|", "\\|");
  return `| \`${setting.key}\` | \`${setting.env}\` | ${fallback(setting)} | ${setting.about} <br>Value: ${value}. |`;
}

function fallback({ fallback: value, fallbackNote: note }: NamedSetting): string {
  if (note !== undefined) return note;
  if (value === undefined) return "*required*";
  return Array.isArray(value) ? "none" : `\`${String(value)}\``;
}

function line({ name, fallback: value, fallbackNote: note }: NamedSetting): string {
  if (value === undefined) return `  # ${name}:\n`;
  if (note !== undefined) return `  # ${name}: (${note.replaceAll("`", "")})\n`;
  return `  ${name}: ${Array.isArray(value) ? JSON.stringify(value) : String(value)}\n`;
}

/** The text as lines of YAML comments, broken between words. */
function comment(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last.length + word.length > 110) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.map((each, index) => (index === 0 ? `  # ${each}\n` : `  #   ${each}\n`)).join("");
}
