import { loadConfig } from "../config/load.ts";
import { counted, type DatabaseStatus, readDatabaseStatus } from "../ops/database-status.ts";
import { leaderProblem, slotProblem } from "../ops/status-problem.ts";
import type { HttpMode } from "../http/mode.ts";
import { schemaProblem } from "../pg/await-schema.ts";
import { environmentProblem } from "../pg/environment.ts";
import { findInstallation } from "../pg/installation.ts";
import { holderText } from "../pg/lock-owner.ts";
import { openPool } from "../pg/pool.ts";
import { formatLsn, type Lsn } from "../pg/lsn.ts";
import { type ForeignPublication, readForeignPublications } from "../wal/foreign-publications.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";

const STATEMENT_TIMEOUT_MS = 10_000;

/** `pgnetd status`: what the database knows of slot, leader and outbox. Throws where somebody should act. */
export async function printStatus({ config }: ConfigFlag, { env, print }: CommandContext): Promise<void> {
  const { database, slot, http } = loadConfig({ env, file: config });
  await using db = openPool({ url: database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const unusable = await schemaProblem(db);
  if (unusable !== null) throw unusable;
  const status = await readDatabaseStatus(db, slot.name);
  const installation = await findInstallation(db);
  const what = { mode: http.mode, environment: installation?.environment ?? null };
  const lines = [...statusLines(status, what), ...(await readForeignPublications(db)).map(warningLine)];
  for (const [name, value] of lines) print(`${name.padEnd(14)} ${value}`);
  const foreign = installation === null ? null : environmentProblem(installation, database.environment);
  const problem = foreign ?? leaderProblem(status.leader) ?? slotProblem(status);
  if (problem !== null) throw problem;
}

/** The lines of `pgnetd status`, as name and value. */
export function statusLines(
  status: DatabaseStatus,
  { mode, environment }: { readonly mode: HttpMode; readonly environment: string | null },
): readonly (readonly [name: string, value: string])[] {
  const { oldest, retainedWalBytes, outboxRows, deferred } = status;
  return [
    ["environment", environment ?? "none"],
    ["mode", mode === "capture" ? "capture: nothing is sent" : mode],
    ["leader", status.leader === null ? "none" : holderText(status.leader)],
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
