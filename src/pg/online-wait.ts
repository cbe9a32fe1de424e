import type pg from "pg";

import { NEVER, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { runLoops, stopped } from "../base/loops.ts";
import { connect } from "./connection.ts";
import { type MigrationWait, REPORT_AFTER_MS } from "./migration-lock.ts";
import { problemOf, readBlocker } from "./migration-retry.ts";

const LOOK_EVERY_MS = 500;

/** A statement that waits for others for as long as they take, and how it waits. */
export interface OnlineWait extends Pick<MigrationWait, "signal" | "waiting"> {
  /** For a session of its own: that of the statement is busy. */
  readonly url: string;
  /** The process of the statement. */
  readonly pid: number;
  readonly what: string;
}

/**
 * Runs `act`, which is cancelled where the signal fires: throws NOT_DONE then. It is reported once who is in its way. What the watching
 * fails of is no failure of the statement.
 */
export async function whileWaiting(wait: OnlineWait, act: () => Promise<unknown>): Promise<void> {
  const done = act();
  done.catch(() => undefined);
  await runLoops(NEVER, [
    async () => {
      await done.catch((error: unknown) => {
        if (wait.signal?.aborted !== true) throw error;
        throw new PgnetdError("NOT_DONE", `stopped while ${wait.what} was made`, {
          cause: error,
          hint: "Run the command again: what is unfinished is made anew.",
        });
      });
    },
    async (ended) => {
      await watch(wait, ended).catch(() => undefined);
      await stopped(ended);
    },
  ]);
}

async function watch({ url, pid, signal = NEVER, waiting }: OnlineWait, ended: AbortSignal): Promise<void> {
  const begunAt = systemClock.now();
  let isReported = waiting === undefined;
  let isCancelled = false;
  const either = AbortSignal.any([signal, ended]);
  let session: pg.Client | null = null;
  try {
    while (!ended.aborted) {
      await systemClock.sleep(LOOK_EVERY_MS, isCancelled ? ended : either);
      if (ended.aborted) return;
      session ??= await connect(url, "migrate");
      if (signal.aborted) {
        // Again where it came before the statement.
        await session.query("select pg_catalog.pg_cancel_backend($1)", [pid]);
        isCancelled = true;
        continue;
      }
      if (isReported || systemClock.now() - begunAt < REPORT_AFTER_MS) continue;
      const blocker = await readBlocker(session, pid);
      if (blocker === null) continue;
      waiting?.(problemOf(blocker));
      isReported = true;
    }
  } finally {
    await session?.end();
  }
}
