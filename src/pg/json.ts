/** Of ECMAScript, but not yet of TypeScript's library: https://github.com/tc39/proposal-json-parse-with-source */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };

/** Without so many digits in a row every integer is one that JavaScript's numbers hold. */
const LONG_NUMBER = /\d{16}/;

/**
 * Reads `jsonb` as PostgreSQL writes it. An integer that JavaScript's numbers do not hold, such as an id of 19 digits, is
 * kept as it is written, so that it is the same when made JSON again.
 */
export function readJson(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_name, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && isInexact(value, context?.source ?? "") ? rawJSON(context?.source ?? "") : value,
  );
}

function isInexact(value: number, source: string): boolean {
  return /^-?\d+$/.test(source) && !Number.isSafeInteger(value);
}
