import { systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { redact } from "../config/redact.ts";
import type { Config } from "../config/settings.ts";
import { counted, type DatabaseStatus, readDatabaseStatus } from "../ops/database-status.ts";
import { askLocalDaemon, type LocalDaemon, localDaemonText, stallProblem } from "../ops/local-daemon.ts";
import { leaderProblem, slotProblem } from "../ops/status-problem.ts";
import type { HttpMode } from "../http/mode.ts";
import { tablesProblem } from "../pg/await-schema.ts";
import { environmentProblem } from "../pg/environment.ts";
import { findInstallation } from "../pg/installation.ts";
import { holderText } from "../pg/lock-owner.ts";
import { connectionError } from "../pg/connection.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { formatLsn, type Lsn } from "../pg/lsn.ts";
import { type ForeignPublication, readForeignPublications } from "../wal/foreign-publications.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { paint } from "./paint.ts";

const STATEMENT_TIMEOUT_MS = 10_000;
const WATCH_EVERY_MS = 2_000;

/** Options of `pgnetd status`. */
export interface StatusFlags extends ConfigFlag {
  readonly json?: boolean;
  readonly watch?: boolean;
}

/** One reading of everything that is shown. */
interface Reading {
  readonly status: DatabaseStatus;
  readonly environment: string | null;
  readonly mode: HttpMode;
  readonly daemon: LocalDaemon;
  readonly foreign: readonly ForeignPublication[];
  /** What an operator should act on; null where all is well. */
  readonly problem: PgnetdError | null;
}

/** `pgnetd status`: what the database knows of slot, leader and outbox. Throws where somebody should act, unless it goes on watching. */
export async function printStatus(flags: StatusFlags, context: CommandContext): Promise<void> {
  const settings = loadConfig({ env: context.env, file: flags.config });
  await using db = openPool({ url: settings.database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  if (flags.watch === true) return await watch(() => read(db, settings), flags, context);
  const reading = await read(db, settings);
  for (const line of flags.json === true ? [JSON.stringify(asJson(reading), null, 2)] : asText(reading)) {
    context.print(line);
  }
  if (reading.problem !== null) throw reading.problem;
}

async function read(db: Queryable, { database, slot, http, server }: Config): Promise<Reading> {
  const unusable = await tablesProblem(db);
  if (unusable !== null) throw unusable;
  const status = await readDatabaseStatus(db, slot.name);
  const installation = await findInstallation(db);
  const daemon = await askLocalDaemon(server);
  const others = installation === null ? null : environmentProblem(installation, database.environment);
  return {
    status,
    environment: installation?.environment ?? null,
    mode: http.mode,
    daemon,
    foreign: await readForeignPublications(db),
    problem: others ?? leaderProblem(status.leader) ?? stallProblem(daemon) ?? slotProblem(status),
  };
}

/** Reads until the process is asked to end: in place on a terminal, else one reading after the other. */
async function watch(
  next: () => Promise<Reading>,
  { json }: StatusFlags,
  { print, live, stop }: CommandContext,
): Promise<void> {
  using view = live?.() ?? null;
  const isInPlace = view !== null && json !== true;
  while (!stop.aborted) {
    const reading = await next().catch((error: unknown) =>
      error instanceof PgnetdError ? error : connectionError(error),
    );
    const problem = reading instanceof PgnetdError ? reading : reading.problem;
    const problems =
      problem === null ? [] : ["", paint("bad", redact(problem.message)), `hint: ${redact(problem.hint)}`];
    const lines = json === true ? [] : [...(reading instanceof PgnetdError ? [] : asText(reading)), ...problems];
    if (json === true)
      print(JSON.stringify(reading instanceof PgnetdError ? { problem: problemJson(reading) } : asJson(reading)));
    else if (isInPlace) view.show([new Date().toLocaleTimeString(), "", ...lines]);
    else [...lines, ""].forEach((line) => print(line));
    await systemClock.sleep(WATCH_EVERY_MS, stop);
  }
}

function asText({ status, environment, mode, daemon, foreign }: Reading): readonly string[] {
  const lines = [...statusLines(status, { mode, environment, daemon }), ...foreign.map(warningLine)];
  return lines.map(([name, value]) => `${name.padEnd(14)} ${toned(name, value, status)}`);
}

/** Coloured where it is to be acted on. */
function toned(name: string, value: string, { slot, leader }: DatabaseStatus): string {
  if (name === "leader") return leaderProblem(leader) === null ? value : paint("bad", value);
  if (name === "slot") return paint(slot === "ok" ? "good" : "caution", value);
  return name === "warning" ? paint("caution", value) : value;
}

function problemJson({ code, message, hint }: PgnetdError): unknown {
  return { code, message: redact(message), hint: redact(hint) };
}

function asJson({ status, environment, mode, daemon, foreign, problem }: Reading): unknown {
  return {
    environment,
    mode,
    leader: status.leader,
    daemonHere: { at: daemon.at, state: daemon.kind === "daemon" ? daemon.state : daemon.kind },
    slot: {
      name: status.slotName,
      health: status.slot,
      retainedWalBytes: status.retainedWalBytes,
      blockers: status.slotBlockers,
    },
    positions: {
      current: formatLsn(status.current),
      confirmed: status.confirmed === null ? null : formatLsn(status.confirmed),
    },
    outbox: { rows: status.outboxRows, deferred: status.deferred, oldest: status.oldest },
    deadLetters: status.deadLetters,
    foreignPublications: foreign,
    problem: problem === null ? null : problemJson(problem),
  };
}

/** The lines of `pgnetd status`, as name and value. */
export function statusLines(
  status: DatabaseStatus,
  { mode, environment, daemon }: Pick<Reading, "mode" | "environment" | "daemon">,
): readonly (readonly [name: string, value: string])[] {
  const { oldest, retainedWalBytes, outboxRows, deferred } = status;
  return [
    ["environment", environment ?? "none"],
    ["mode", mode === "capture" ? "capture: nothing is sent" : mode],
    ["leader", status.leader === null ? "none" : holderText(status.leader)],
    ["daemon here", localDaemonText(daemon)],
    ["slot", `${status.slotName}: ${status.slot}`],
    ["retained WAL", retainedWalBytes === null ? "none" : `${Math.ceil(retainedWalBytes / 1024)} KiB`],
    ["current", formatLsn(status.current)],
    ["confirmed", position(status.confirmed)],
    ["waiting", `${counted(outboxRows)} (${counted(deferred)} for a later time)`],
    ["oldest", oldest === null ? "none" : `request ${oldest.id}, ${oldest.ageSeconds.toFixed(1)} s`],
    ["dead letters", counted(status.deadLetters)],
  ];
}

/** Who subscribes sees what requests carry. */
function warningLine({ name, tables, hint }: ForeignPublication): readonly [name: string, value: string] {
  const what = "requests, with their headers and bodies, or their answers";
  return ["warning", `publication ${name} has ${what}: ${tables.join(", ")}. To take them out: ${hint}`];
}

function position(lsn: Lsn | null): string {
  return lsn === null ? "none" : formatLsn(lsn);
}
