import type { LoadedConfig } from "./load.ts";
import { ALL_SETTINGS, SECTIONS } from "./settings.ts";

/** The effective settings as a configuration file, secrets masked, with the source of each value as a comment. */
export function describeConfig({ config, sources }: LoadedConfig): string {
  const sections: Readonly<Record<string, Readonly<Record<string, unknown>>>> = config;
  return Object.keys(SECTIONS)
    .map((section) => {
      const lines = ALL_SETTINGS.filter((setting) => setting.section === section).map((setting) => {
        const value = sections[section]?.[setting.name];
        const text = setting.masked?.(value) ?? JSON.stringify(value);
        const source = sources.get(setting.key);
        const origin = source === "environment" ? setting.env : source === "file" ? "file" : "default";
        const note = source === "default" && setting.fallbackNote !== undefined ? `: ${setting.fallbackNote}` : "";
        return `  ${`${setting.name}: ${text}`.padEnd(46)} # ${origin}${note}\n`;
      });
      return `${section}:\n${lines.join("")}`;
    })
    .join("");
}
