import { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { counted, type DatabaseStatus, readDatabaseStatus } from "../ops/database-status.ts";
import { systemClock } from "../base/clock.ts";
import { awaitSchema } from "../pg/await-schema.ts";
import { openPool } from "../pg/pool.ts";
import { formatLsn, type Lsn } from "../wal/lsn.ts";
import type { CommandContext } from "./args.ts";

const STATEMENT_TIMEOUT_MS = 10_000;

/** `pgnetd status`: what the database knows of slot, leader and outbox. Throws where somebody should act. */
export async function printStatus({ env, values, print, stop }: CommandContext): Promise<void> {
  const { database, slot } = loadConfig({ env, file: values.get("config") });
  await using db = openPool({ url: database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const once = AbortSignal.any([stop, AbortSignal.timeout(STATEMENT_TIMEOUT_MS)]);
  const quiet = (): void => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const read = (): Promise<DatabaseStatus> => readDatabaseStatus(db, slot.name);
  const status = await awaitSchema(db, { read }, { clock: systemClock, log, signal: once });
  if (status === null) {
    throw new PgnetdError("PG_UNREACHABLE", "the database did not answer, or pgnetd is not installed in it");
  }
  for (const [name, value] of statusLines(status)) print(`${name.padEnd(14)} ${value}`);
  const problem = problemOf(status);
  if (problem !== null) throw problem;
}

/** The lines of `pgnetd status`, as name and value. */
export function statusLines(status: DatabaseStatus): readonly (readonly [name: string, value: string])[] {
  const { oldest, retainedWalBytes, waiting, parked } = status;
  return [
    ["leader", status.leaderPid === null ? "none" : `process ${status.leaderPid}`],
    ["slot", `${status.slotName}: ${status.slot}`],
    ["retained WAL", retainedWalBytes === null ? "none" : `${Math.ceil(retainedWalBytes / 1024)} KiB`],
    ["current", formatLsn(status.current)],
    ["confirmed", position(status.confirmed)],
    ["waiting", `${counted(waiting)} (${counted(parked)} for a later time)`],
    ["oldest", oldest === null ? "none" : `request ${oldest.id}, ${oldest.ageSeconds.toFixed(1)} s`],
    ["dead letters", counted(status.deadLetters)],
  ];
}

function position(lsn: Lsn | null): string {
  return lsn === null ? "none" : formatLsn(lsn);
}

/** What an operator should act on; null where all is well. */
function problemOf({ leaderPid, slot, slotName }: DatabaseStatus): PgnetdError | null {
  if (leaderPid === null) {
    return new PgnetdError("PG_UNREACHABLE", "no pgnetd leads this database, so that requests wait", {
      hint: "Start one: pgnetd run.",
    });
  }
  if (slot === "ok") return null;
  return new PgnetdError("STREAM_UNAVAILABLE", `the replication slot ${slotName} is ${slot}`, {
    hint: "The daemon's log and /readyz say what to do; requests are sent by sweeping meanwhile.",
  });
}
