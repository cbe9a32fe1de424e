import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { toError } from "../base/errors.ts";
import { didYouMean } from "./nearest.ts";
import { ALL_SETTINGS, SECTIONS } from "./settings.ts";

/** What a configuration file says, and what is wrong with it. */
export interface FileValues {
  /** By key, such as `rate.perSecond`; a key without a value is not in it. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly problems: readonly string[];
}

/** Reads a YAML configuration file. Never throws: an unreadable file is a problem like a wrong key. */
export function readConfigFile(path: string): FileValues {
  let source: string;
  try {
    source = readFileSync(path, "utf8");
  } catch (error) {
    return { values: new Map(), problems: [`the configuration file cannot be read: ${toError(error).message}`] };
  }
  return readConfigText(source, path);
}

/** Reads the text of a configuration file; `path` is for messages. */
export function readConfigText(source: string, path: string): FileValues {
  const document = parseDocument(source, { prettyErrors: true });
  if (document.errors.length > 0) {
    return { values: new Map(), problems: document.errors.map(({ message }) => `${path}: ${message.split("\n")[0]}`) };
  }
  const values = new Map<string, unknown>();
  const problems: string[] = [];
  const root: unknown = document.toJS();
  if (root === null) return { values, problems };
  if (!isMapping(root)) return { values, problems: [`${path}: must hold sections such as \`database:\``] };
  const known = ALL_SETTINGS.map(({ key }) => key);
  for (const [section, settings] of Object.entries(root)) {
    if (!Object.hasOwn(SECTIONS, section)) {
      problems.push(`${path}: ${section} is not a section${didYouMean(section, Object.keys(SECTIONS))}`);
    } else if (isMapping(settings)) {
      for (const [name, value] of Object.entries(settings)) {
        const key = `${section}.${name}`;
        if (!known.includes(key)) problems.push(`${path}: ${key} is not a setting${didYouMean(key, known)}`);
        else if (value !== null) values.set(key, value);
      }
    } else if (settings !== null) {
      problems.push(`${path}: ${section} must be a section with settings below it`);
    }
  }
  return { values, problems };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
