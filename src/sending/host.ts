import Denque from "denque";

import type { HostSettings } from "../outbox/host-settings.ts";
import type { Lane } from "../outbox/lane.ts";
import type { Request } from "../outbox/request.ts";
import type { Inserter } from "../pg/snapshot.ts";
import type { Standing } from "./places.ts";
import { Turn, Turns } from "./turns.ts";

/** A request in memory that was not started yet, or is in flight. */
export interface Entry {
  readonly request: Request;
  /** The transaction a streamed row came with; null for a swept row, which is visible by its very reading. */
  readonly insertedBy: Inserter | null;
  readonly host: string;
  readonly lane: Lane;
  /** See `OutboxRow`. */
  readonly waitsSince?: number | undefined;
}

/** An entry in flight. */
export interface Flight {
  readonly entry: Entry;
  readonly startedAt: number;
  /** What its host and lane were charged for it at its start. */
  readonly charged: number;
  /** What counts of it among the bytes in flight. */
  readonly bytes: number;
}

/** What is known when a flight ends. */
export interface FlightEnd {
  readonly now: number;
  readonly owed: number;
  readonly answered: boolean;
}

/** What a host last did wrong. */
export interface HostFailure {
  /** Of the outcome, or the status where that is 500 or more. */
  readonly code: string;
  /** By the clock of the daemon. */
  readonly at: number;
}

/** What there is of one lane in memory. */
export interface LaneLoad {
  readonly lane: Lane;
  readonly queued: number;
  readonly inFlight: number;
}

/** What is done with one lane. */
export interface LaneActivity extends LaneLoad {
  readonly host: string;
  readonly isPaused: boolean;
  readonly lastFailure: HostFailure | null;
}

/** A host whose requests take less than this in flight is responsive, in milliseconds; those in flight now included. */
const RESPONSIVE_MS = 1_000;
/** And it must have answered within this time. */
const ANSWERED_WITHIN_MS = 60_000;
/** The weight of the newest request in the moving average of times in flight. */
const NEWEST = 1 / 8;

interface LaneQueue {
  readonly lane: Lane;
  readonly entries: Denque<Entry>;
  inFlight: number;
  /** What is queued came alone: nothing waited before it, or came after it. */
  isSparse: boolean;
}

/**
 * One destination host: what waits for it by lane, what is in flight to it, and how long that takes.
 *
 * - It is *silent* until it has answered, and after a minute without an answer; else *responsive* or *slow*, by how long requests to
 *   it take (`finish`), and how long the first of those in flight has taken by now.
 * - It is *paused* or not, by its settings (`configure`).
 * - It has a *place* while it is not paused and has less in flight than its concurrency (`take`, `finish`, `configure`).
 *
 * A lane of it is listed while something of it is queued, and known until nothing is in flight, either.
 */
export class Host {
  readonly name: string;
  readonly #defaultConcurrency: number;
  /** The lanes of which something is queued or in flight. */
  readonly #lanes = new Map<Lane, Turn<LaneQueue>>();
  /** Those listed, in the order of their turns. */
  readonly #turns = new Turns<LaneQueue>();
  #concurrency = 0;
  #paused = false;
  #queued = 0;
  /** In the order of their starts. */
  readonly #flights = new Set<Flight>();
  /** The first of these; null without any. */
  #longest: Flight | null = null;
  #bytesInFlight = 0;
  /** Moving average of the time in flight, in milliseconds; null before the first end. */
  #typicalMs: number | null = null;
  /** When it answered last. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** The failure that came last; null before the first. */
  lastFailure: HostFailure | null = null;

  constructor(name: string, settings: HostSettings | undefined, defaultConcurrency: number) {
    this.name = name;
    this.#defaultConcurrency = defaultConcurrency;
    this.configure(settings);
  }

  /** The settings from now on; without any, the defaults. */
  configure(settings: HostSettings | undefined): void {
    this.#concurrency = settings?.concurrency ?? this.#defaultConcurrency;
    this.#paused = settings?.paused ?? false;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get queued(): number {
    return this.#queued;
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** What is in flight, in the order of the starts. */
  get flights(): Iterable<Flight> {
    return this.#flights;
  }

  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  get typicalMs(): number | null {
    return this.#typicalMs;
  }

  /** True where one more may be in flight by the settings of this host. */
  get hasPlace(): boolean {
    return !this.#paused && this.#flights.size < this.#concurrency;
  }

  standing(now: number): Standing {
    if (this.#typicalMs === null || now - this.#answeredAt >= ANSWERED_WITHIN_MS) return "silent";
    const longestMs = this.#longest === null ? 0 : now - this.#longest.startedAt;
    return Math.max(this.#typicalMs, longestMs) < RESPONSIVE_MS ? "responsive" : "slow";
  }

  /** The earliest `waitsSince` of what waits first in each lane; Infinity where nothing waits. */
  get waitsSince(): number {
    let earliest = Infinity;
    for (const { member } of this.#lanes.values()) {
      const since = member.entries.peekFront()?.waitsSince;
      if (since !== undefined && since < earliest) earliest = since;
    }
    return earliest;
  }

  /** What there is of each lane. */
  get load(): readonly LaneLoad[] {
    return [...this.#lanes.values()].map(({ member: { lane, entries, inFlight } }) => ({
      lane,
      queued: entries.length,
      inFlight,
    }));
  }

  /** True where nothing waits or is in flight. */
  get isIdle(): boolean {
    return this.#flights.size === 0 && this.#queued === 0;
  }

  add(entry: Entry): void {
    let turn = this.#lanes.get(entry.lane);
    if (turn === undefined) {
      turn = new Turn<LaneQueue>({ lane: entry.lane, entries: new Denque(), inFlight: 0, isSparse: false });
      this.#lanes.set(entry.lane, turn);
    }
    turn.member.isSparse = turn.member.entries.isEmpty();
    turn.member.entries.push(entry);
    this.#queued++;
    if (turn.listing === null) this.#turns.list(turn);
  }

  /** The entry that `take` would give; null without any. */
  get next(): Entry | null {
    return this.#nextLane?.entries.peekFront() ?? null;
  }

  /** True where the entry that `take` would give came alone in its lane: such lanes are sent to seldom. */
  get isNextSparse(): boolean {
    return this.#nextLane?.isSparse ?? false;
  }

  get #nextLane(): LaneQueue | null {
    for (let turn = this.#turns.peek(); turn !== null; turn = this.#turns.peek()) {
      if (!turn.member.entries.isEmpty()) return turn.member;
      this.#turns.take();
      this.#forget(turn.member);
    }
    return null;
  }

  /** Takes the first entry of the lane whose turn it is into flight, and charges `cost` to the lane. */
  take({ cost, bytes, now }: { cost: number; bytes: number; now: number }): Flight {
    const entry = this.next;
    const turn = this.#turns.take();
    if (turn === null || entry === null) throw new RangeError("nothing waits for this host");
    const { entries } = turn.member;
    entries.shift();
    turn.used += cost;
    turn.member.inFlight++;
    this.#queued--;
    this.#bytesInFlight += bytes;
    if (!entries.isEmpty()) this.#turns.list(turn);
    const flight = { entry, startedAt: now, charged: cost, bytes };
    this.#flights.add(flight);
    this.#longest ??= flight;
    return flight;
  }

  /** The flight has ended; `owed` is what it cost beyond its charge, `answered` whether the host sent an answer. */
  finish(flight: Flight, { now, owed, answered }: FlightEnd): void {
    const { entry, startedAt, bytes } = flight;
    this.#flights.delete(flight);
    if (flight === this.#longest) this.#longest = this.#flights.values().next().value ?? null;
    this.#bytesInFlight -= bytes;
    const tookMs = now - startedAt;
    this.#typicalMs = this.#typicalMs === null ? tookMs : this.#typicalMs + (tookMs - this.#typicalMs) * NEWEST;
    if (answered) this.#answeredAt = now;
    const turn = this.#lanes.get(entry.lane);
    if (turn === undefined) return;
    turn.owed += owed;
    turn.member.inFlight--;
    this.#forget(turn.member);
  }

  /** Forgets a lane without anything queued, listed or in flight: callers may name a new one for each request. */
  #forget({ lane, entries, inFlight }: LaneQueue): void {
    if (entries.isEmpty() && inFlight === 0 && this.#lanes.get(lane)?.listing === null) this.#lanes.delete(lane);
  }

  /** Gives up the later half of what waits in `lane`, and returns it. */
  giveUp(lane: Lane): readonly Entry[] {
    const entries = this.#lanes.get(lane)?.member.entries;
    const kept = Math.floor((entries?.length ?? 0) / 2);
    return this.#giveUp(lane, kept);
  }

  #giveUp(lane: Lane, kept: number): readonly Entry[] {
    const entries = this.#lanes.get(lane)?.member.entries;
    const given = entries?.remove(kept, entries.length - kept) ?? [];
    this.#queued -= given.length;
    return given;
  }

  /** Gives up everything that waits, and returns it. */
  clear(): readonly Entry[] {
    return [...this.#lanes.keys()].flatMap((lane) => this.#giveUp(lane, 0));
  }
}
