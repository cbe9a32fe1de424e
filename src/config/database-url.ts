import { MASK, quotable } from "./redact.ts";

/** What keeps `given` from being a connection URL, for a person to read and without anything of it; null where it is one. */
export function databaseUrlProblem(given: unknown): string | null {
  if (typeof given !== "string") return "it is not text";
  if (!/^postgres(ql)?:\/\//.test(given)) return "it does not begin with postgres:// or postgresql://";
  if (!URL.canParse(given)) return "its host or port cannot be read: a / or ? in user or password is to be %2F or %3F";
  const { hash, username, password, hostname, pathname, search } = new URL(given);
  if (hash !== "" || given.includes("#")) return "a # in it is to be %23";
  // The rest of a password that has a / or ? in it would otherwise be mistaken for the database's name.
  if ((pathname + search).includes("@"))
    return "an @ behind the host is to be %40, a / or ? in the password %2F or %3F";
  try {
    decodeURIComponent(username + password + hostname + pathname + search);
    return null;
  } catch {
    return "a % in it is to be %25";
  }
}

/** Parameters that are names, and such that are numbers or words: their values are shown. */
const NAMES = new Set(["application_name", "host", "user"]);
const WORDS = new Set([
  "channel_binding",
  "connect_timeout",
  "port",
  "sslmode",
  "sslnegotiation",
  "target_session_attrs",
  "uselibpqcompat",
]);
/** Parameters whose values are not. Of any other not even the name is: it may be a part of a password. */
const HIDDEN = new Set(["options", "passphrase", "password", "sslcert", "sslkey", "sslpassword", "sslrootcert"]);
const PLAIN = /^[\w.~,:/+ -]*$/;

/** A connection URL with only that which is known to be no secret: every other part is masked. */
export function showDatabaseUrl(url: string): string {
  const { protocol, username, password, host, pathname, searchParams } = new URL(url);
  const user = plain(username) + (password === "" ? "" : `:${MASK}`);
  const parameters = [...searchParams].map(([name, value]) => {
    if (NAMES.has(name)) return `${name}=${plain(value)}`;
    if (WORDS.has(name)) return `${name}=${quotable(value)}`;
    return HIDDEN.has(name) ? `${name}=${MASK}` : MASK;
  });
  const query = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
  return `${protocol}//${user === "" ? "" : `${user}@`}${host}${plain(pathname)}${query}`;
}

function plain(text: string): string {
  return PLAIN.test(text) ? text : MASK;
}

/** Shorter ones are not searched for in other texts: they are in every other word. */
const LEAST_LENGTH = 6;

/** The secrets in a connection URL, encoded and decoded, as they might turn up in the words of a driver, server or system. */
export function secretsOf(url: string): readonly string[] {
  const { password, search, searchParams } = new URL(url);
  const shown = showDatabaseUrl(url);
  const parameters = search.slice(1).split("&");
  const encoded = [...parameters, ...parameters.map((parameter) => parameter.replace(/^[^=]*=/, ""))];
  const all = new Set([password, decodeURIComponent(password), ...encoded, ...[...searchParams].flat()]);
  return [...all].filter((secret) => secret.length >= LEAST_LENGTH && !shown.includes(secret) && !HIDDEN.has(secret));
}

/** The name of the database: that in the URL, else PostgreSQL's default, which is the user's. */
export function databaseName(url: string): string {
  const { pathname, username } = new URL(url);
  return decodeURIComponent(pathname.slice(1) || username) || "postgres";
}
