/** What stands in the place of a secret. */
export const MASK = "***";

let known: readonly string[] = [];

/** From now on these are masked wherever `redact` finds them. Replaces those before. */
export function learnSecrets(secrets: readonly string[]): void {
  known = secrets.toSorted((a, b) => b.length - a.length);
}

/**
 * `text`, which may quote anything, without its secrets (P11): those of the settings, passwords and queries of URLs, and what
 * follows `password=`.
 */
export function redact(text: string): string {
  let redacted = text;
  for (const secret of known) redacted = redacted.replaceAll(secret, MASK);
  return redacted
    .replace(/(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*):\/\/(\S*)/gi, (url, scheme: string, rest: string) =>
      scheme.toLowerCase() === "file" ? url : `${scheme}://${withoutSecrets(rest)}`,
    )
    .replace(/(^|[\s"'(])([^\s:/@"'(]+):(?!\/\/)\S{1,200}@/g, `$1$2:${MASK}@`)
    .replace(/((?:password|passphrase|passwd|pwd)\s*=\s*)('[^']*'|"[^"]*"|[^\s&;,"']+)/gi, `$1${MASK}`);
}

/** What follows `://`, up to the next blank. */
function withoutSecrets(rest: string): string {
  const at = rest.lastIndexOf("@");
  const user = /^[\w.~%+-]*/.exec(rest)?.[0] ?? "";
  const userinfo = at === -1 ? "" : user.length === at ? `${user}@` : `${user}:${MASK}@`;
  return userinfo + rest.slice(at + 1).replace(/\?.*/, `?${MASK}`);
}

/** A number with or without its unit, a word, or addresses. */
const HARMLESS = [/^[-+]?\d+(\.\d+)? ?[a-z]{0,8}$/i, /^[a-z][a-z_-]{0,19}$/i, /^[\da-f.:/, ]*[.:][\da-f.:/, ]*$/i];

/** What somebody typed, to be quoted in a message; masked unless it is too plain to be a secret. */
export function quotable(typed: string): string {
  return typed.length <= 64 && HARMLESS.some((form) => form.test(typed)) ? typed : MASK;
}
