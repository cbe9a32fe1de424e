/**
 * The names and values at the top level of an object, as `jsonb_each_text` has them: strings as they are, null left out, all
 * else in its own text, to the last digit and space. `text` is what PostgreSQL writes for a `jsonb`, which is canonical; null
 * where it is no object. Depth costs nothing: what is inside of a value is skipped, not read.
 */
export function jsonbPairs(text: string): (readonly [name: string, value: string])[] | null {
  const pairs: (readonly [string, string])[] = [];
  if (text === "{}") return pairs;
  if (!text.startsWith("{")) return null;
  for (let at = 1; ;) {
    const nameEnd = endOfString(text, at);
    const valueAt = nameEnd + ": ".length;
    const end = text.startsWith(": ", nameEnd) ? endOfValue(text, valueAt) : -1;
    if (end === -1) return null;
    const value = text.slice(valueAt, end);
    if (value !== "null")
      pairs.push([stringOf(text.slice(at, nameEnd)), value.startsWith('"') ? stringOf(value) : value]);
    if (end === text.length - 1) return text.endsWith("}") ? pairs : null;
    if (!text.startsWith(", ", end)) return null;
    at = end + ", ".length;
  }
}

/** The index after the string that begins at `at`; -1 where none does, or it does not end. */
function endOfString(text: string, at: number): number {
  if (text[at] !== '"') return -1;
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let escapes = 0;
    while (text[quote - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return quote + 1;
  }
  return -1;
}

function endOfValue(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return endOfString(text, at);
  return first === "{" || first === "[" ? endOfNested(text, at) : endOfScalar(text, at);
}

const BRACKET_OR_STRING = /["[\]{}]/g;

function endOfNested(text: string, from: number): number {
  let depth = 0;
  for (let at = from; ;) {
    BRACKET_OR_STRING.lastIndex = at;
    const found = BRACKET_OR_STRING.exec(text);
    if (found === null) return -1;
    if (found[0] === '"') {
      at = endOfString(text, found.index);
      if (at === -1) return -1;
      continue;
    }
    depth += found[0] === "[" || found[0] === "{" ? 1 : -1;
    at = found.index + 1;
    if (depth === 0) return at;
  }
}

/** A number, true, false or null. */
function endOfScalar(text: string, from: number): number {
  for (let at = from; at < text.length; at++) if (text[at] === "," || text[at] === "}") return at;
  return -1;
}

function stringOf(quoted: string): string {
  return quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}
