import { PgnetdError } from "../base/errors.ts";
import { isStranger, type LockHolder, strangerText } from "../leader/holder.ts";
import { endHint } from "../pg/lock-owner.ts";
import { blockedSlot } from "../slot/blockers.ts";
import type { DatabaseStatus } from "./database-status.ts";

/** What an operator should do about who leads; null where a daemon does. */
export function leaderProblem(leader: LockHolder | null): PgnetdError | null {
  if (leader === null) {
    return new PgnetdError("PG_UNREACHABLE", "no pgnetd leads this database, so that requests wait", {
      hint: "Start one: pgnetd run. Where one runs already, its log and pgnetd doctor say what it waits for.",
    });
  }
  if (!isStranger(leader)) return null;
  return new PgnetdError("PG_UNREACHABLE", `${strangerText(leader)}, so that requests wait`, {
    hint: endHint(leader),
  });
}

/** What an operator should do about the slot while a daemon leads; null where all is well. */
export function slotProblem({
  slot,
  slotName,
  slotBlockers,
}: Pick<DatabaseStatus, "slot" | "slotName" | "slotBlockers">): PgnetdError | null {
  if (slot === "ok") return null;
  if (slot === "creating") {
    const blocked = blockedSlot(slotName, slotBlockers);
    return new PgnetdError(
      "STREAM_UNAVAILABLE",
      blocked?.reason ?? `the replication slot ${slotName} is being created`,
      {
        hint: blocked?.hint ?? "Ask again in a moment; requests are sent meanwhile, by a sweep each second.",
      },
    );
  }
  return new PgnetdError("STREAM_UNAVAILABLE", `the replication slot ${slotName} is ${slot}`, {
    hint: "The daemon's log and /readyz say what to do; requests are sent by sweeping meanwhile.",
  });
}
