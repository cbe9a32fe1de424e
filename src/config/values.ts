import { isIP } from "node:net";
import { z } from "zod";
import { databaseUrlProblem } from "./database-url.ts";

/** One kind of value: how its text or YAML value is read, and the rule that a wrong one broke, to follow "must be". */
export interface Kind<T> {
  readonly schema: z.ZodType<T>;
  readonly rule: string;
}

function kind<T>(rule: string, read: (given: unknown) => T | undefined): Kind<T> {
  const schema = z.unknown().transform((given, context): T => {
    const value = read(typeof given === "string" ? given.trim() : given);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: `must be ${rule}` });
    return z.NEVER;
  });
  return { schema, rule };
}

function numberOf(given: unknown): number {
  if (typeof given === "number") return given;
  return typeof given === "string" && /^\d+(\.\d+)?$/.test(given) ? Number(given) : Number.NaN;
}

/** A whole number from `min` to `max`, both included. */
export function integer(min: number, max: number): Kind<number> {
  return kind(`a whole number from ${min} to ${max}`, (given) => {
    const value = numberOf(given);
    return Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  });
}

/** True or false; from text also on, off, yes, no, 1 and 0. */
export function flag(): Kind<boolean> {
  const words = new Map([
    ...["true", "on", "yes", "1"].map((word) => [word, true] as const),
    ...["false", "off", "no", "0"].map((word) => [word, false] as const),
  ]);
  return kind("true or false", (given) =>
    typeof given === "boolean" ? given : words.get(String(given).toLowerCase()),
  );
}

/** One of a closed set of words. */
export function oneOf<const W extends string>(words: readonly W[]): Kind<W> {
  return kind(`one of ${words.join(", ")}`, (given) => words.find((word) => word === given));
}

/** Where to listen: an address or a name. */
export function host(): Kind<string> {
  return kind("an address or a host name", (given) =>
    typeof given === "string" && /^[\w.:%-]{1,253}$/.test(given) ? given : undefined,
  );
}

/** A replication slot's name as PostgreSQL allows it; null where it is derived from the database's name. */
export function slotName(): Kind<string | null> {
  return kind("1 to 63 lower-case letters, digits and underscores", (given) => {
    if (given === null) return null;
    return typeof given === "string" && /^[a-z0-9_]{1,63}$/.test(given) ? given : undefined;
  });
}

/** The name of an environment; null for none. */
export function environmentName(): Kind<string | null> {
  return kind("1 to 63 letters, digits, dots, hyphens and underscores", (given) => {
    if (given === null) return null;
    return typeof given === "string" && /^[A-Za-z0-9._-]{1,63}$/.test(given) ? given : undefined;
  });
}

/** A connection URL of PostgreSQL; what only looks right (an unescaped `#` or `%` in a password) is refused. */
export function databaseUrl(): Kind<string> {
  const rule = "a URL such as postgres://host:5432/database, with user and password percent-encoded where they need it";
  const schema = z.unknown().transform((given, context): string => {
    const url = typeof given === "string" ? given.trim() : given;
    const problem = databaseUrlProblem(url);
    if (problem === null) return String(url);
    context.addIssue({ code: "custom", message: `must be ${rule}; ${problem}` });
    return z.NEVER;
  });
  return { schema, rule };
}

/** Starts per second, fractions included, or `unlimited`. */
export function rate(max: number): Kind<number | "unlimited"> {
  return kind(`a number above 0 and up to ${max}, or unlimited`, (given) => {
    if (given === "unlimited") return given;
    const value = numberOf(given);
    return value > 0 && value <= max ? value : undefined;
  });
}

const BYTES = new Map([
  ["", 1],
  ["b", 1],
  ["k", 1024],
  ["m", 1024 ** 2],
  ["g", 1024 ** 3],
]);

/** A size in bytes; from text also with a unit, each 1024 times the one before, as PostgreSQL counts them. */
export function bytes(min: number, max: number): Kind<number> {
  const rule = `a size from ${sizeText(min)} to ${sizeText(max)}, such as 64MiB (units: B, kB, MB, GB, KiB, MiB, GiB)`;
  return kind(rule, (given) => {
    const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) *(b|[kmg]i?b)?$/i.exec(String(given)) ?? [];
    const value = Math.round(Number(amount) * (BYTES.get(unit.slice(0, 1).toLowerCase()) ?? Number.NaN));
    return value >= min && value <= max ? value : undefined;
  });
}

function sizeText(size: number): string {
  const [unit, factor] = (
    [
      ["GiB", 1024 ** 3],
      ["MiB", 1024 ** 2],
      ["KiB", 1024],
    ] as const
  ).find(([, of]) => size % of === 0) ?? ["B", 1];
  return `${size / factor}${unit}`;
}

/** As `of`; null where the value is derived from others. */
export function derived<T>(of: Kind<T>): Kind<T | null> {
  return { schema: z.union([z.null(), of.schema]), rule: of.rule };
}

const SECONDS = new Map([
  ["", 1],
  ["s", 1],
  ["sec", 1],
  ["second", 1],
  ["m", 60],
  ["min", 60],
  ["minute", 60],
  ["h", 3600],
  ["hour", 3600],
  ["d", 86_400],
  ["day", 86_400],
]);

/** A length of time in seconds, whole and at least 1; from text also with a unit. `never` where it has no end. */
export function lifetime(maxSeconds: number): Kind<number | "never"> {
  const rule = `never, or a time from 1 second to ${maxSeconds / 86_400} days, such as 6 hours (units: seconds, minutes, hours, days)`;
  return kind(rule, (given) => {
    if (given === "never") return given;
    const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) *([a-z]*)$/i.exec(String(given)) ?? [];
    const word = unit.toLowerCase();
    const seconds = SECONDS.get(word) ?? SECONDS.get(word.replace(/s$/, "")) ?? Number.NaN;
    const value = Math.round(Number(amount) * seconds);
    return value >= 1 && value <= maxSeconds ? value : undefined;
  });
}

/** A list of networks, each as `address/prefix` or as the word `private`; from text separated by commas. */
export function networks(): Kind<readonly string[]> {
  const rule = "a list of networks such as 10.0.0.0/8 or fd00::/8, single addresses, or the word private";
  return kind(rule, (given) => {
    const list: unknown = typeof given === "string" ? given.split(",").filter((part) => part.trim() !== "") : given;
    if (!Array.isArray(list)) return undefined;
    const read = list.map((part: unknown) => network(String(part).trim()));
    return read.every((part) => part !== undefined) ? read : undefined;
  });
}

function network(given: string): string | undefined {
  if (given.toLowerCase() === "private") return "private";
  const [, address = "", prefix] = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(given) ?? [];
  const family = isIP(address);
  if (family === 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  return Number(prefix ?? bits) <= bits ? `${address.toLowerCase()}/${prefix ?? bits}` : undefined;
}

/** Names of hosts; from text separated by commas. */
export function hostNames(): Kind<readonly string[]> {
  return kind("a list of host names such as pgnetd.example.com", (given) => {
    const list: unknown = typeof given === "string" ? given.split(",").filter((part) => part.trim() !== "") : given;
    if (!Array.isArray(list)) return undefined;
    const names = list.map((part: unknown) => String(part).trim().toLowerCase());
    return names.every((name) => /^[a-z0-9._-]{1,253}$/.test(name)) ? names : undefined;
  });
}

/** What the page asks for; long enough that it cannot be guessed. */
export function pageToken(): Kind<string | null> {
  return kind("16 to 200 printable ASCII characters without blanks", (given) => {
    if (given === null) return null;
    return typeof given === "string" && /^[!-~]{16,200}$/.test(given) ? given : undefined;
  });
}
