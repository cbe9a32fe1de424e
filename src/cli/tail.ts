import { systemClock } from "../base/clock.ts";
import { textStart } from "../base/text-start.ts";
import { loadConfig } from "../config/load.ts";
import { redact } from "../config/redact.ts";
import { lifetime } from "../config/values.ts";
import { ResultTail, type TailedResult } from "../ops/result-tail.ts";
import { schemaProblem } from "../pg/await-schema.ts";
import { openPool } from "../pg/pool.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { paint, printable, type Tone } from "./paint.ts";
import { usage } from "./usage.ts";

const EVERY_MS = 500;
const STATEMENT_TIMEOUT_MS = 10_000;

/** Options of `pgnetd tail`. */
export interface TailFlags extends ConfigFlag {
  readonly since?: string;
  readonly failed?: boolean;
  readonly status?: string;
  readonly host?: string;
  /** False with `--no-follow`. */
  readonly follow?: boolean;
  readonly json?: boolean;
}

/** `pgnetd tail`: prints results as they are stored, until the process is asked to end. */
export async function tail(flags: TailFlags, { env, print, stop }: CommandContext): Promise<void> {
  const isWanted = filterOf(flags);
  const since = secondsOf(flags.since);
  const { database } = loadConfig({ env, file: flags.config });
  await using db = openPool({ url: database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const problem = await schemaProblem(db);
  if (problem !== null) throw problem;
  const results = await ResultTail.open(db, since);
  do {
    for await (const page of results.next()) {
      for (const result of page.filter(isWanted)) {
        // P11: the url is masked already; an error may quote anything.
        const shown = { ...result, error: result.error === null ? null : redact(textStart(result.error)) };
        print(flags.json === true ? JSON.stringify(shown) : lineOf(shown));
      }
      if (stop.aborted) return;
    }
    if (flags.follow === false) return;
    await systemClock.sleep(EVERY_MS, stop);
  } while (!stop.aborted);
}

function secondsOf(since: string | undefined): number {
  if (since === undefined) return 0;
  const read = lifetime(366 * 86_400).schema.safeParse(since);
  if (read.success && read.data !== "never") return read.data;
  throw usage('--since must be a time such as "10 minutes" or a number of seconds', "tail");
}

/** Which results are printed: all that each of the filters lets through. */
export function filterOf({ failed, status, host }: TailFlags): (result: TailedResult) => boolean {
  const statuses = (status ?? "").split(",").filter((one) => one !== "");
  if (statuses.some((one) => !/^[1-5](\d\d|xx)$/.test(one))) {
    throw usage("--status must be statuses such as 404 or 5xx, with commas between them", "tail");
  }
  return (result) => {
    if (failed === true && !isFailed(result)) return false;
    if (host !== undefined && hostOf(result.url) !== host.toLowerCase()) return false;
    return statuses.length === 0 || statuses.some((one) => isStatus(result.status, one));
  };
}

function isFailed({ status }: TailedResult): boolean {
  return status === null || status >= 400;
}

function isStatus(status: number | null, wanted: string): boolean {
  return status !== null && (wanted.endsWith("xx") ? String(status)[0] === wanted[0] : String(status) === wanted);
}

function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null;
}

function lineOf(result: TailedResult): string {
  const { id, ended, method, url, status, errorCode, error, attempts, dead, totalMs } = result;
  const tone: Tone = isFailed(result) ? "bad" : status !== null && status >= 300 ? "caution" : "good";
  const what = paint(tone, String(status ?? errorCode ?? "error").padEnd(3));
  const details = [
    totalMs === null ? "" : `${Math.round(totalMs)} ms`,
    dead ? "dead letter" : "",
    attempts > 1 ? `${attempts} tries` : "",
    printable(error ?? ""),
  ].filter((text) => text !== "");
  const where = printable(`${method} ${url}`);
  return `${paint("faint", ended)} ${what} ${where} ${paint("faint", `id ${id}, ${details.join(", ")}`)}`;
}
