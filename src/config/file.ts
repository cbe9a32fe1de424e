import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { didYouMean } from "./nearest.ts";
import { quotable } from "./redact.ts";
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
    return { values: new Map(), problems: [`the configuration file cannot be read: ${codeOf(error)}`] };
  }
  return readConfigText(source, path);
}

/** Reads the text of a configuration file; `path` is for messages. */
export function readConfigText(source: string, path: string): FileValues {
  const values = new Map<string, unknown>();
  const parsed = parse(source);
  if ("errors" in parsed) return { values, problems: parsed.errors.map((error) => `${path}: ${error}`) };
  const problems: string[] = [];
  const { root } = parsed;
  if (root === null) return { values, problems };
  if (!isMapping(root)) return { values, problems: [`${path}: must hold sections such as \`database:\``] };
  const known = ALL_SETTINGS.map(({ key }) => key);
  for (const [section, settings] of Object.entries(root)) {
    if (!Object.hasOwn(SECTIONS, section)) {
      problems.push(`${path}: ${quotable(section)} is not a section${didYouMean(section, Object.keys(SECTIONS))}`);
    } else if (isMapping(settings)) {
      for (const [name, value] of Object.entries(settings)) {
        const key = `${section}.${name}`;
        if (!known.includes(key))
          problems.push(`${path}: ${section}.${quotable(name)} is not a setting${didYouMean(key, known)}`);
        else if (value !== null) values.set(key, value);
      }
    } else if (settings !== null) {
      problems.push(`${path}: ${section} must be a section with settings below it`);
    }
  }
  return { values, problems };
}

/** What the YAML holds, or what is wrong with it and where: the parser's own words quote the text, and with it secrets. */
function parse(source: string): { readonly root: unknown } | { readonly errors: readonly string[] } {
  const document = parseDocument(source, { logLevel: "error" });
  if (document.errors.length > 0) {
    return {
      errors: document.errors.map(({ code, linePos }) => {
        const where = linePos === undefined ? "" : ` at line ${linePos[0].line}, column ${linePos[0].col}`;
        return `not YAML: ${code.toLowerCase().replaceAll("_", " ")}${where}`;
      }),
    };
  }
  try {
    return { root: document.toJS() };
  } catch {
    return { errors: ["not YAML: an alias that is not defined, or too many of them"] };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "it cannot be opened";
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
