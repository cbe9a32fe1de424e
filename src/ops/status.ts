import type { PgnetdError } from "../base/errors.ts";
import type { DispatcherState } from "../dispatch/dispatcher.ts";
import { mayStart } from "../dispatch/phase.ts";
import type { HttpMode } from "../http/mode.ts";
import { endHint } from "../pg/lock-owner.ts";
import { isStranger, strangerText } from "../leader/holder.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";
import { formatLsn, type Lsn } from "../pg/lsn.ts";
import type { DatabaseStatus } from "./database-status.ts";
import type { Health } from "./health.ts";

const DETAIL: Record<DispatcherState["phase"], string> = {
  "not-leading": "no connection to the database; trying again",
  polling: "leading without a stream: the outbox is swept once a second",
  "catch-up": "leading: sending what waits in the outbox",
  live: "leading: sending what is committed as it is committed",
  stopping: "stopping: what is in flight ends, nothing new is started",
};

/** What the health is made of. */
export interface HealthSources {
  /** Null while the database is waited for. */
  readonly state: DispatcherState | null;
  /** What keeps the stream from flowing. */
  readonly outage: StreamOutage | null;
  /** What the database said last. */
  readonly database: DatabaseStatus | null;
  readonly mode: HttpMode;
  /** Why the database cannot be used yet; null where it can, or before it was first read. */
  readonly waitingFor: PgnetdError | null;
}

/** Health of a daemon whose database may not be there yet. */
export function healthOf({ state, outage, database, mode, waitingFor }: HealthSources): Health {
  const shared = {
    stalled: state?.stalled ?? null,
    mode,
    slot: database?.slot ?? "unknown",
    positions: {
      current: text(database?.current),
      received: text(state?.received),
      confirmed: text(database?.confirmed),
    },
    oldest: database?.oldest ?? null,
    requests: { outbox: database?.outboxRows ?? null, queued: state?.queued ?? 0, inFlight: state?.inFlight ?? 0 },
    lanesBehind: state?.lanesBehind ?? ("every" as const),
  };
  if (state === null) {
    const why = waitingFor === null ? "" : `: ${waitingFor.message}. ${waitingFor.hint}`;
    return { state: "starting", ready: false, detail: `waiting for the database and its schema${why}`, ...shared };
  }
  const { phase, standby, holder } = state;
  const isStandby = standby && (holder === null || !isStranger(holder));
  const detail = detailOf(state, outage);
  return {
    state: phase === "not-leading" ? (standby ? "standby" : "connecting") : phase,
    ready: isStandby || (mayStart(phase) && state.unread === null),
    detail: mode === "capture" ? `capture mode, nothing is sent; ${detail}` : detail,
    ...shared,
  };
}

function detailOf({ phase, standby, holder, stalled, unread }: DispatcherState, outage: StreamOutage | null): string {
  if (standby && holder !== null && isStranger(holder)) return `${strangerText(holder)}. ${endHint(holder)}`;
  if (standby) return "standing by: another pgnetd leads this database";
  if (mayStart(phase) && unread !== null) return `leading, but ${unread}`;
  if (stalled !== null) return `leading: ${stalled}`;
  const isTold = outage !== null && (phase === "polling" || phase === "not-leading");
  return isTold ? `${DETAIL[phase]}: ${outage.reason}. ${outage.hint}` : DETAIL[phase];
}

function text(position: Lsn | null | undefined): string | null {
  return position === null || position === undefined ? null : formatLsn(position);
}
