import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "./markdown.ts";

/** A file of the repository as text. */
export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** What a YAML file of the repository has. */
export function yamlOf(path: string): unknown {
  return parse(textOf(path));
}

/** What is at a path of keys and indexes, such as `spec.containers.0.image`; undefined where there is none. */
export function at(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((found, key) => (found as Record<string, unknown> | undefined)?.[key], value);
}

/** The values of each key of a systemd unit, of all its sections. */
export function systemdUnit(text: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  for (const [, key = "", value = ""] of text.matchAll(/^(\w+)=(.*)$/gm)) {
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  return values;
}

/** How many bytes 512M (of systemd), 512Mi or 1Gi (of Kubernetes) are. */
export function bytesOf(quantity: string): number {
  const [, count, unit] = /^(\d+)(M|Mi|G|Gi)$/.exec(quantity) ?? [];
  return Number(count) * 1024 ** (unit?.startsWith("G") ? 3 : 2);
}
