import type { Lane } from "../outbox/lane.ts";
import type { SweepPlan, SweepRoom } from "../outbox/sweep.ts";
import type { Behind } from "./behind.ts";
import type { RowSender } from "./parts.ts";
import { areSweptAlone, isStalledAtALimit, type Sweeping } from "./schedule.ts";
import type { SweptLanes } from "./swept-snapshots.ts";

/** Lanes that one sweep of every lane reads. */
const MOST_LANES = 5_000;

/** While the stream is stalled one reads so many lanes of those that are behind, and one of every lane this share of the rows that memory has room for. */
const STALLED = { lanes: 50, rows: 1 / 5 };

/** What a sweep depends on. Times are milliseconds of the clock handed in. */
export interface SweepState {
  readonly now: number;
  readonly sender: Pick<RowSender, "room" | "roomOf" | "preferred" | "known" | "isLimited">;
  readonly behind: Pick<Behind, "lanes" | "count" | "has">;
  /** Where a sweep of every lane begins. */
  readonly from: SweepPlan["from"];
  /** Since when the stream is stalled; null without a stall. */
  readonly stalledSince: number | null;
}

/** One sweep: the lanes that it reads, of some lanes only those that have room, and what it may bring of them. */
export interface PlannedSweep {
  readonly lanes: SweptLanes;
  readonly plan: SweepPlan;
  /** It reads the lanes that are behind, as far as they have room. */
  readonly readsBehind: boolean;
}

/** P6: while the stream is stalled others wait for the end of a sweep, so it is soon done. */
export function planSweep(sweeping: Sweeping, state: SweepState): PlannedSweep {
  const { sender, behind, from } = state;
  if (sweeping === "every") {
    const plan = { ...roomOfEvery(state), from, known: sender.known };
    return { lanes: "every", plan, readsBehind: !(areSweptAlone(behind.count) && isStalled(state)) };
  }
  const room = sender.roomOf(lanesToRead(sweeping, state));
  const shares = sweeping === "behind" && isStalled(state) ? shortest(room.shares) : room.shares;
  const lanes = new Set(shares.map(({ lane }) => lane));
  const known = lanes.size === 0 ? [] : sender.known;
  return { lanes, plan: { ...room, shares, lanes: "shares", from: null, known }, readsBehind: sweeping === "behind" };
}

function lanesToRead(sweeping: Exclude<Sweeping, "every">, state: SweepState): Iterable<Lane> {
  const { sender, behind } = state;
  if (sweeping === "behind" && !isStalled(state)) return behind.lanes;
  const preferred = sender.preferred.filter((lane) => canBeNamed([lane]));
  if (sweeping === "preferred") return preferred;
  // Preferred ones have sweeps of their own.
  const left = new Set(preferred);
  return [...behind.lanes].filter((lane) => !left.has(lane));
}

/** In turn: what was read of a lane is queued. */
function shortest(shares: SweepRoom["shares"]): SweepRoom["shares"] {
  return shares.toSorted((one, other) => one.queued - other.queued).slice(0, STALLED.lanes);
}

/** What PostgreSQL takes for the first 255 characters where it knows no encoding, in bytes. */
const LONGEST_UNENCODED = 255;

/** False where a name may stand for lanes that no client can read, or names otherwise: these are found by a sweep of every lane alone. */
export function canBeNamed(lanes: Iterable<Lane>): boolean {
  for (const lane of lanes) {
    if (lane === "" || lane.includes("\uFFFD") || Buffer.byteLength(lane) > LONGEST_UNENCODED) return false;
  }
  return true;
}

function roomOfEvery(state: SweepState): SweepRoom & Pick<SweepPlan, "lanes"> {
  const { sender, behind } = state;
  const { room } = sender;
  if (!isStalled(state)) return { ...room, lanes: MOST_LANES };
  const rows = Math.ceil(room.rows * STALLED.rows);
  if (!areSweptAlone(behind.count)) return { ...room, rows, lanes: STALLED.lanes };
  const left = [...behind.lanes].map((lane) => ({ lane, queued: 0, room: 0 }));
  const shares = room.shares.filter(({ lane }) => !behind.has(lane));
  return { ...room, rows, lanes: MOST_LANES, shares: [...shares, ...left] };
}

function isStalled({ sender: { isLimited }, ...state }: SweepState): boolean {
  return isStalledAtALimit({ ...state, isLimited });
}
