import fc from "fast-check";
import { headersJson, hostileHeaders } from "./fuzz-json.ts";
import type { Lab } from "./fuzz-lab.ts";
import { SECRET, mostly } from "./fuzz-row.ts";
import { anyUrl } from "./fuzz-url.ts";
import type { TestDatabase } from "./postgres.ts";

/** One call of a function of the SQL API, as named arguments in SQL's text form. */
export interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, string | null>>;
}

/** Each argument's type, as it is cast. */
const TYPES: Readonly<Record<string, string>> = {
  method: "text",
  url: "text",
  body: "text",
  content_type: "text",
  params: "jsonb",
  headers: "jsonb",
  timeout_milliseconds: "integer",
  delay: "interval",
  send_at: "timestamptz",
  deduplication_key: "text",
  max_attempts: "integer",
  retry_first_ms: "integer",
  retry_max_ms: "integer",
  max_redirects: "integer",
  keep: "text",
};

type Text = string | null;

/** Of nine values eight are `right`. */
function seldomWrong(right: fc.Arbitrary<Text>, ...wrong: readonly Text[]): fc.Arbitrary<Text> {
  return mostly([8, right], [1, fc.constantFrom(...wrong)]);
}

const rest = {
  params: mostly<Text>([3, hostileHeaders], [1, headersJson]),
  headers: headersJson,
  timeout_milliseconds: seldomWrong(fc.constantFrom("2000", "1", "50", "2147483647"), null, "-1", "-2147483648"),
};

const WRONG_METHODS = [
  ["OPTIONS", "CONNECT", "TRACE", "GET / HTTP/1.1\r\nX-Injected: 1", "G\u0130T"],
  ["GET", "", " ", null],
].flat();

const any = {
  ...rest,
  method: seldomWrong(fc.constantFrom("POST", "post", "PUT", "Patch", "DELETE"), ...WRONG_METHODS),
  body: fc.option(fc.string({ maxLength: 50 }).map((text) => SECRET + text)),
  content_type: seldomWrong(fc.constantFrom("text/plain", "application/x", null), "", "a\r\nX-Injected: 1", "\u0001"),
  // Past, at once, or far: a batch is over when nothing waits for a time that is near.
  delay: seldomWrong(
    fc.constantFrom("0", "1 millisecond", "1 day", "1000 years"),
    "-1 day",
    "178000000 years",
    "1 month -1 day",
  ),
  send_at: seldomWrong(
    fc.constantFrom("4713-01-01 BC", "2000-01-01", "9999-12-31", "294276-12-31"),
    "infinity",
    "-infinity",
  ),
  deduplication_key: fc.constantFrom(null, "a", "b", "", "é".repeat(500)),
  max_attempts: seldomWrong(fc.constantFrom("1", "2", "3"), "0", "1001", "-1"),
  retry_first_ms: seldomWrong(fc.constantFrom("0", "1", "5"), "-1"),
  retry_max_ms: seldomWrong(fc.constantFrom("5", "10"), "-1"),
  max_redirects: seldomWrong(fc.constantFrom("0", "1", "50"), "51", "-1", "2147483647"),
  keep: seldomWrong(fc.constantFrom("all", "headers", "status"), "ALL", ""),
};

const body = headersJson;

function callOf(name: string, args: Record<string, fc.Arbitrary<string | null>>): fc.Arbitrary<Call> {
  return fc
    .record(args, { requiredKeys: ["url", "method"].filter((one) => one in args) })
    .map((given) => ({ name, args: given }));
}

/** A call with any arguments; where a url names anything, it is something in `lab`. */
export function anyCall(lab: Lab): fc.Arbitrary<Call> {
  const url = mostly<string | null>(
    [30, anyUrl(`http://127.0.0.1:${lab.target.port}`, lab.canary.port)],
    [1, fc.constant(null)],
  );
  return fc.oneof(
    callOf("http_get", { url, ...rest }),
    callOf("http_post", { url, ...rest, body }),
    callOf("http_put", { url, ...rest, body }),
    callOf("http_patch", { url, ...rest, body }),
    callOf("http_delete", { url, ...rest, body }),
    callOf("http_head", { url, ...rest }),
    callOf("http_request", { url, ...any }),
  );
}

/** Runs one statement in a subtransaction: its result, or how it failed. */
const TRY_CALL = `
create function public.try_call(statement text, out id bigint, out failed text) language plpgsql as $$
begin
  execute statement into id;
exception when others then
  failed := sqlstate;
end $$`;

/** Makes what \`makeCalls\` needs. */
export async function prepareCalls(db: Pick<TestDatabase, "query">): Promise<void> {
  await db.query(TRY_CALL);
}

/** Makes the calls in one transaction, each in a subtransaction of its own: the ids made, and the SQLSTATEs of those that failed. */
export async function makeCalls(
  db: Pick<TestDatabase, "query">,
  calls: readonly Call[],
): Promise<{ readonly ids: readonly string[]; readonly sqlstates: readonly string[] }> {
  const rows = await db.query<{ id: string | null; sqlstate: string | null }>(
    "select made.id::text, made.failed as sqlstate from unnest($1::text[]) as given (text) cross join lateral public.try_call(given.text) as made",
    [calls.map(statementOf)],
  );
  return {
    ids: [...new Set(rows.map(({ id }) => id).filter((id) => id !== null))],
    sqlstates: rows.map(({ sqlstate }) => sqlstate).filter((state) => state !== null),
  };
}

function statementOf({ name, args }: Call): string {
  const isJson = name !== "http_request";
  const given = Object.entries(args).map(([argument, value]) => {
    const type = argument === "body" && isJson ? "jsonb" : (TYPES[argument] ?? "text");
    return `${argument} := ${value === null ? "null" : literal(value)}::${type}`;
  });
  return `select net.${name}(${given.join(", ")})`;
}

function literal(text: string): string {
  return `'${text.replaceAll("\0", "").replaceAll("'", "''")}'`;
}
