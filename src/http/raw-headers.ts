import { isUtf8 } from "node:buffer";

/** Headers in order, with names as the server wrote them. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

/** Name and value of each header, in order, as the server wrote them: UTF-8 where it is that, else ISO 8859-1. */
export function headerPairs(raw: readonly Buffer[]): HeaderPairs {
  const pairs: (readonly [name: string, value: string])[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([text(raw[at]), text(raw[at + 1])]);
  return pairs;
}

/** What a header costs in memory beside its name and value, in bytes. */
const HEADER_BYTES = 64;

/** What headers take in memory, roughly. */
export function headerSize(headers: HeaderPairs): number {
  let bytes = headers.length * HEADER_BYTES;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes;
}

/** The value of the header called `lowerCaseName`, several of them joined as a list; null without one. */
export function findHeader(headers: HeaderPairs, lowerCaseName: string): string | null {
  let found: string | null = null;
  for (const [name, value] of headers) {
    if (name.length !== lowerCaseName.length || name.toLowerCase() !== lowerCaseName) continue;
    found = found === null ? value : `${found}, ${value}`;
  }
  return found;
}

function text(bytes: Buffer | undefined): string {
  if (bytes === undefined) return "";
  return isUtf8(bytes) ? bytes.toString("utf8") : bytes.toString("latin1");
}
