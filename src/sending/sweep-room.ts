import { authorityOfLane, type Lane } from "../outbox/lane.ts";
import { PREFERRED } from "../outbox/sweep-lanes.ts";
import type { SweepRoom } from "../outbox/sweep.ts";
import type { LaneShare, Memory, MemoryBounds } from "./memory.ts";

/** Sweeps are worth their while from this share of memory on. */
const WORTHWHILE_SHARE = 1 / 16;
/** Lanes of responsive hosts come before all others, whatever is queued of them, in this share of all sweeps; the others are for lanes to which these would leave nothing. */
export const PREFERRING_SWEEPS = 7 / 8;
/** One sweep brings no more bytes, so that it is soon done. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Nor more requests than start in so many seconds; at a low rate this many. */
const MOST_SECONDS = 2;
const LEAST_MOST = 500;

/** What the room for a sweep depends on. */
export interface RoomState {
  readonly memory: Memory;
  readonly bounds: MemoryBounds;
  readonly perSecond: number | "unlimited";
  /** Lanes of responsive hosts that are read whether something of them waits in memory or not. */
  readonly preferred: readonly Lane[];
  /** The authorities of responsive hosts. */
  readonly authorities: readonly string[];
  /** Lanes that are left to the outbox. */
  readonly paused: Iterable<Lane>;
  readonly now: number;
}

/** True where a sweep can bring enough to be worth its while, whatever it brings. */
export function isWorthwhile({ room: { rows, bytes } }: Memory, bounds: MemoryBounds): boolean {
  return rows >= bounds.requests * WORTHWHILE_SHARE && bytes >= bounds.bytes * WORTHWHILE_SHARE;
}

/**
 * What a sweep may bring now. Lanes of responsive hosts come first. Where memory is full that is a little of these, and of lanes of
 * which nothing is queued: longer ones make room for it.
 */
export function sweepRoom(state: RoomState): SweepRoom {
  const { memory, preferred, paused, now } = state;
  const isNamed = new Set(preferred);
  const others = memory.shares(now).filter(({ lane }) => !isNamed.has(lane));
  const shares = sharesOf([...preferred.map((lane) => memory.share(lane, now)), ...others], state);
  const left = [...paused].map((lane) => ({ lane, queued: 0, room: 0 }));
  return { ...inAll(state), shares: [...shares, ...left] };
}

/** The same of `lanes` alone, as far as they have room. */
export function sweepRoomOf(lanes: Iterable<Lane>, state: RoomState): SweepRoom {
  const { memory, paused, now } = state;
  const isPaused = new Set(paused);
  const read = [...lanes].filter((lane) => !isPaused.has(lane)).map((lane) => memory.share(lane, now));
  return { ...inAll(state), shares: sharesOf(read, state).filter(({ room }) => room > 0) };
}

function sharesOf(shares: readonly LaneShare[], { memory, bounds, preferred, authorities }: RoomState): LaneShare[] {
  const isNamed = new Set(preferred);
  const isPreferred = new Set<string | null>(authorities);
  const isFull = !isWorthwhile(memory, bounds);
  return shares.map((share) => {
    if (isNamed.has(share.lane)) return { ...share, queued: share.queued - PREFERRED };
    const isLeft = isFull && share.queued > 0 && !isPreferred.has(authorityOfLane(share.lane));
    return isLeft ? { ...share, room: 0 } : share;
  });
}

function inAll({ memory, bounds, perSecond, authorities }: RoomState): Omit<SweepRoom, "shares"> {
  const { rows, bytes, largest } = memory.room;
  const { perLane } = memory;
  const little = {
    rows: Math.ceil(bounds.requests * WORTHWHILE_SHARE),
    bytes: Math.ceil(bounds.bytes * WORTHWHILE_SHARE),
  };
  const much = { rows: Math.min(rows, mostRows(perSecond)), bytes: Math.min(bytes, MOST_BYTES) };
  return { ...(isWorthwhile(memory, bounds) ? much : little), largest, perLane, authorities };
}

/** How many requests start in seconds; without a limit there are never so many. */
export function mostRows(perSecond: number | "unlimited"): number {
  return perSecond === "unlimited" ? Infinity : Math.max(LEAST_MOST, Math.ceil(perSecond * MOST_SECONDS));
}
