import { PgnetdError, toError } from "../base/errors.ts";
import type { Environment } from "../config/load.ts";
import type { Config } from "../config/settings.ts";
import { currentDatabase } from "../pg/current-database.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { defaultSlotName } from "../slot/slot.ts";
import { type Check, type CheckContext, type Result, type ServerFacts, skipped } from "./check.ts";
import { CHECKS } from "./checks.ts";
import { ConnectionProbe } from "./connection-probe.ts";
import { readProvider } from "./provider.ts";

/** A statement of the doctor's that has no answer by then is given up, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 5_000;
const OLD_TRANSACTION_SECONDS = 300;

/** What is to be checked, and how. */
export interface DoctorOptions {
  readonly config: Config;
  readonly checks: readonly Check[];
  readonly env: Environment;
  readonly url?: string | null | undefined;
  readonly nameServers?: readonly string[] | undefined;
  readonly now?: (() => number) | undefined;
  readonly oldTransactionSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A check and what it found. */
export interface Finding {
  readonly check: Check;
  readonly result: Result;
}

/** What was found, in the order of the checks. */
export interface Diagnosis {
  /** Null where there was no connection. */
  readonly server: ServerFacts | null;
  readonly findings: readonly Finding[];
}

/** Runs `checks` one after the other, with one connection. */
export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const { config, checks, url = null, signal } = options;
  const context: CheckContext = {
    config,
    probe: new ConnectionProbe(config.database.url),
    url,
    env: options.env,
    nameServers: options.nameServers ?? null,
    now: options.now ?? Date.now,
    oldTransactionSeconds: options.oldTransactionSeconds ?? OLD_TRANSACTION_SECONDS,
  };
  await using db = openPool({ url: config.database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const needed = withNeeded(checks);
  const results = new Map<string, Result>();
  let server: Known | undefined;
  for (const check of needed) {
    if (signal?.aborted === true) break;
    if (check.on === "database") server ??= await readFacts(db, context, results);
    results.set(check.id, await runOne(check, { context, db, server, results }));
  }
  const findings = checks.flatMap((check) => {
    const result = results.get(check.id);
    return result === undefined ? [] : [{ check, result }];
  });
  return { server: server?.facts ?? null, findings };
}

/** What was found that should be mended, the likely cause first: failures before warnings, and each in the order of the checks. */
export function ranked(findings: readonly Finding[]): readonly Finding[] {
  const those = (status: Result["status"]): readonly Finding[] =>
    findings.filter(({ result }) => result.status === status);
  return [...those("fail"), ...those("warn")];
}

/** With those whose failure explains that of others, in order. */
function withNeeded(checks: readonly Check[]): readonly Check[] {
  const ids = new Set(checks.map(({ id }) => id));
  for (const { id, needs = [] } of CHECKS.toReversed()) if (ids.has(id)) needs.forEach((one) => ids.add(one));
  return CHECKS.filter(({ id }) => ids.has(id));
}

/** What is known of the server, or why nothing is. */
type Known = { readonly facts: ServerFacts } | { readonly facts: null; readonly why: string };

interface Run {
  readonly context: CheckContext;
  readonly db: Queryable;
  readonly server: Known | undefined;
  readonly results: ReadonlyMap<string, Result>;
}

async function runOne(check: Check, { context, db, server, results }: Run): Promise<Result> {
  const failed = (check.needs ?? []).find((id) => results.get(id)?.status === "fail");
  if (failed !== undefined) return skipped(`not looked at, since ${failed} failed`);
  try {
    if (check.on === "host") return await check.run(context);
    if (server === undefined || server.facts === null) return skipped(server?.why ?? "there is no connection");
    if (server.facts.isStandby && check.onStandby !== true)
      return skipped("not looked at, since this is a standby server");
    return await check.run({ ...context, db, server: server.facts });
  } catch (error) {
    return skipped(whyNot(error));
  }
}

/** Why a check could not look. */
function whyNot(error: unknown): string {
  const { message } = toError(error);
  if (sqlstateOf(error) === SQLSTATE.insufficientPrivilege) return `this role may not look: ${message}`;
  return `it could not be looked at: ${message}`;
}

/** Asks once: a server that does not answer is not waited for by each check. */
async function readFacts(
  db: Queryable,
  { config, probe }: CheckContext,
  results: ReadonlyMap<string, Result>,
): Promise<Known> {
  if ((await probe.ordinary()).kind === "failed" || results.get("pooler")?.status === "fail") {
    return { facts: null, why: "there is no connection" };
  }
  try {
    const { rows } = await db.query<{ version: number; role: string; standby: boolean }>({
      text: `select pg_catalog.current_setting('server_version_num')::int4 as version, current_user::text as role,
        pg_catalog.pg_is_in_recovery() as standby`,
    });
    const { version = 0, role = "", standby: isStandby = false } = rows[0] ?? {};
    const database = await currentDatabase(db);
    const slotName = config.slot.name ?? defaultSlotName(database);
    return { facts: { provider: await readProvider(db), version, isStandby, database, role, slotName } };
  } catch (error) {
    return { facts: null, why: whyNot(error) };
  }
}

/** What ends the command where something failed; null where nothing did. */
export function failed(findings: readonly Finding[]): PgnetdError | null {
  const [first, ...more] = ranked(findings).filter(({ result }) => result.status === "fail");
  if (first === undefined) return null;
  const also = more.length === 0 ? "" : ` and ${more.length} more`;
  return new PgnetdError("CHECK_FAILED", `${first.check.id}${also} failed: ${first.result.found}`, {
    hint: "fix" in first.result ? first.result.fix : undefined,
  });
}
