import { isUtf8 } from "node:buffer";

/** Name and value of each header, in order, as the server wrote them: UTF-8 where it is that, else ISO 8859-1. */
export function headerPairs(raw: readonly Buffer[]): (readonly [name: string, value: string])[] {
  const pairs: (readonly [name: string, value: string])[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([text(raw[at]), text(raw[at + 1])]);
  return pairs;
}

/** The value of the header called `lowerCaseName`, several of them joined as a list; null without one. */
export function findHeader(raw: readonly Buffer[], lowerCaseName: string): string | null {
  let found: string | null = null;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at];
    if (name?.length !== lowerCaseName.length || name.toString("latin1").toLowerCase() !== lowerCaseName) continue;
    found = found === null ? text(raw[at + 1]) : `${found}, ${text(raw[at + 1])}`;
  }
  return found;
}

function text(bytes: Buffer | undefined): string {
  if (bytes === undefined) return "";
  return isUtf8(bytes) ? bytes.toString("utf8") : bytes.toString("latin1");
}
