import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Outcome } from "../http/outcome.ts";
import type { AnswerMemory } from "../limits/answer-memory.ts";
import type { HostSettings } from "../outbox/host-settings.ts";
import type { Lane } from "../outbox/lane.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { Inserter } from "../pg/snapshot.ts";
import type { KnownRequest, SweepRoom } from "../outbox/sweep.ts";
import type { Completion } from "../results/completion.ts";
import { completionOf } from "./retry.ts";
import type { Entry, Flight, LaneActivity } from "./host.ts";
import { HostScheduler, type SenderLoad } from "./host-scheduler.ts";
import { failureOf, unsent } from "./outcomes.ts";
import { largeFrom, Memory, type MemoryBounds } from "./memory.ts";
import type { SenderParts, SenderSettings } from "./parts.ts";
import { PausedLanes } from "./paused-lanes.ts";
import { Shortage } from "./shortage.ts";
import { AnsweredLanes } from "./answered-lanes.ts";
import { isWorthwhile, mostRows, PREFERRING_SWEEPS, type RoomState, sweepRoom, sweepRoomOf } from "./sweep-room.ts";

/** Of the bytes in memory, so much may be in flight: the rest is left for what comes in. */
const IN_FLIGHT_SHARE = 3 / 4;
/** A request to a paused host in a lane of several hosts is deferred for so long, in milliseconds. */
const PAUSED_MS = 10_000;
/** Lanes of which too many wait are looked for no more often than this, in milliseconds. */
const TRIM_MS = 1_000;

interface Known extends KnownRequest {
  readonly bytes: number;
  /** Its id came again: it may be another row, made when the completion of the first was committed and not yet settled. */
  seenAgain: boolean;
  /** When its try ended; NaN before. */
  endedAt: number;
}

/**
 * Holds requests within the memory bounds (P5), starts them within all limits (P6, P7), and hands their completions on.
 *
 * A request is in one of these modes:
 *
 * - *held*: `hold` made room for it. Until `accept` or `drop`.
 * - *queued*: it waits for its turn. Until `start`; or until it is given up and forgotten, since the outbox has it: by `clear`, for
 *   room for another lane (`hold`), since its lane has become slow (`start`), or its host is paused (`configureHosts`). A row that is never sent skips to *completing*.
 * - *in flight*: until its outcome. One that was aborted is forgotten.
 * - *completing*: its completion is with the writer of results. Until `settled`, which forgets it.
 *
 * The sender is *empty* where nothing is accepted and not forgotten.
 */
export class Sender {
  readonly #parts: SenderParts;
  /** What is queued or in flight, by host. */
  readonly #hosts: HostScheduler;
  /** The room of all requests from `hold` on. */
  readonly #memory: Memory;
  readonly #bounds: MemoryBounds;
  readonly #perSecond: SenderSettings["perSecond"];
  /** Requests in memory by id: what sweeps leave out (rule leaveOutKnown). */
  readonly #known = new Map<bigint, Known>();
  readonly #paused: PausedLanes;
  readonly #answered: AnsweredLanes;
  readonly #shortage: Shortage;
  #trimmedAt = -Infinity;
  /** For `empty`. */
  readonly #emptied = new AutoResetEvent();
  /** Hosts may wait for a place that have none. */
  readonly shortOfPlaces = new AutoResetEvent();

  constructor(parts: SenderParts, { memory, concurrency, perSecond }: SenderSettings) {
    this.#parts = parts;
    const bytes = { bytes: memory.bytes * IN_FLIGHT_SHARE, largeFrom: largeFrom(memory.bytes) };
    const bounds = { ...concurrency, ...bytes, perSecond };
    this.#hosts = new HostScheduler(bounds, parts.rateOf, (host) => parts.answers.mayStart(host));
    this.#answered = new AnsweredLanes((host) => this.#hosts.isResponsive(host, parts.clock.now()));
    this.#paused = new PausedLanes((host) => this.#hosts.isPaused(host));
    this.#memory = new Memory(memory);
    this.#bounds = memory;
    this.#perSecond = perSecond;
    this.#shortage = new Shortage(parts.log, parts.random);
  }

  get queued(): number {
    return this.#hosts.queued;
  }

  get inFlight(): number {
    return this.#hosts.inFlight;
  }

  get inMemory(): number {
    return this.#known.size;
  }

  get memoryBytes(): number {
    return this.#memory.bytes;
  }

  /** What is in memory, from its reading until its result is committed. */
  get known(): KnownRequest[] {
    return [...this.#known.values()];
  }

  /** True where a sweep can bring enough to be worth its while, whatever it brings. */
  get hasRoom(): boolean {
    return isWorthwhile(this.#memory, this.#bounds);
  }

  get isLimited(): boolean {
    return this.#perSecond !== "unlimited";
  }

  /** True where what is queued lasts for seconds; where the rate is unlimited, where half of memory is queued. */
  get isStocked(): boolean {
    return this.queued >= (this.isLimited ? mostRows(this.#perSecond) : this.#bounds.requests / 2);
  }

  /** What a sweep of every lane may bring now; see `sweepRoom`. */
  get room(): SweepRoom {
    return sweepRoom(this.#roomState);
  }

  /** What a sweep of `lanes` may bring now, those of them that have room. */
  roomOf(lanes: Iterable<Lane>): SweepRoom {
    return sweepRoomOf(lanes, this.#roomState);
  }

  get #roomState(): RoomState {
    const isPreferring = this.#parts.random() < PREFERRING_SWEEPS;
    return {
      memory: this.#memory,
      bounds: this.#bounds,
      perSecond: this.#perSecond,
      preferred: isPreferring ? this.preferred : [],
      authorities: isPreferring ? this.#answered.authorities : [],
      paused: this.#paused.lanes,
      now: this.#parts.clock.now(),
    };
  }

  /** Lanes of responsive hosts: those that had an answer last. */
  get preferred(): readonly Lane[] {
    return this.#answered.lanes.filter((lane) => !this.#paused.has(lane));
  }

  /** True where half of what may wait of `lane` does not. */
  isLow(lane: Lane): boolean {
    return !this.#paused.has(lane) && this.#memory.isLow(lane, this.#parts.clock.now());
  }

  /** True where `lane` is of a responsive host, or nothing of it is queued. */
  isWantedSoon(lane: Lane): boolean {
    const isPreferred = this.#answered.isResponsive(lane) && !this.#paused.has(lane);
    return isPreferred || this.#memory.share(lane, this.#parts.clock.now()).queued === 0;
  }

  /**
   * True where `row` stays in the outbox for now: the host of its lane is paused, or, P6, it ends without being sent and what its
   * host has to be stored holds its share.
   */
  staysInOutbox(row: OutboxRow): boolean {
    const { lane, host } = row;
    if (this.#paused.leave(lane, host)) return true;
    return this.#endsUnsent(row) && !this.#parts.answers.mayStart(host);
  }

  #endsUnsent(row: OutboxRow): boolean {
    return unsent(row) !== null || this.#paused.isMixed(row.lane, row.host);
  }

  /** Makes room for one more request of `lane`, giving up what waits in longer lanes, and holds it there; false where it has to stay in the outbox. */
  hold(lane: Lane, bytes: number): boolean {
    const now = this.#parts.clock.now();
    if (!this.#memory.hasPlace(lane, now)) return false;
    while (!this.#memory.fits(bytes)) if (!this.#giveUpLonger(lane, bytes)) return false;
    this.#memory.hold(lane, bytes, now);
    return true;
  }

  #giveUpLonger(lane: Lane, bytes: number): boolean {
    const longer = this.#memory.longerThan(lane, bytes);
    return longer !== null && this.#giveUp(longer);
  }

  /** Gives up half of what waits in `lane`; false where nothing does. */
  #giveUp(lane: Lane): boolean {
    const given = this.#hosts.giveUp(lane);
    if (given.length === 0) return false;
    for (const { request } of given) {
      this.#memory.giveUp(lane, request.bytes);
      this.#forget(request.id);
    }
    this.#parts.events.givenUp(lane);
    return true;
  }

  /** Gives up what was read when more of its lane started: it may have been cancelled before its turn comes. */
  #trim(now: number): void {
    if (now - this.#trimmedAt < TRIM_MS) return;
    this.#trimmedAt = now;
    for (const lane of this.#memory.tooLong(now)) {
      while (this.#memory.isTooLong(lane, now)) if (!this.#giveUp(lane)) break;
    }
  }

  /** Gives a request up that `hold` made room for. */
  drop(lane: Lane, bytes: number): void {
    this.#memory.giveUp(lane, bytes);
  }

  /** Takes a row that `hold` made room for, where it is not in memory already. */
  accept(row: OutboxRow, insertedBy: Inserter | null): void {
    const { request, lane, host, waitsSince } = row;
    const { clock, results, answers } = this.#parts;
    const known = this.#known.get(request.id);
    if (known !== undefined) {
      known.seenAgain = true;
      this.drop(lane, request.bytes);
      return;
    }
    const isQueued = !this.#endsUnsent(row);
    const { id, created, bytes } = request;
    this.#known.set(id, { id, created, bytes, seenAgain: false, endedAt: isQueued ? Number.NaN : clock.now() });
    if (isQueued) {
      this.#hosts.add({ request, insertedBy, host, lane, waitsSince }, clock.now());
      return;
    }
    this.#memory.start(lane, request.bytes);
    const memory = answers.open(host);
    const ended = unsent(row);
    if (ended !== null) this.#complete(ended, ended.outcome, { host, insertedBy }, memory);
    else results.write({ kind: "deferred", request, outcome: null, delayMs: PAUSED_MS }, insertedBy, memory);
  }

  /** Settings of hosts from now on. What waits for a host that is paused is given up, and goes on when it is not. */
  configureHosts(settings: ReadonlyMap<string, HostSettings>): void {
    const { clock, events } = this.#parts;
    for (const { request, lane, host } of this.#hosts.configure(settings, clock.now())) {
      this.#paused.leave(lane, host);
      this.#memory.giveUp(lane, request.bytes);
      this.#forget(request.id);
      events.givenUp(lane);
    }
    for (const lane of this.#paused.resume()) events.low(lane);
  }

  /** The lanes of which something is in memory, or left to the outbox since their host is paused; the busiest first. */
  lanes(most: number): readonly LaneActivity[] {
    const active = this.#hosts.busy.flatMap(({ name, lastFailure, load }) =>
      load.map((lane) => ({ ...lane, host: name, isPaused: this.#paused.has(lane.lane), lastFailure })),
    );
    const known = new Set(active.map(({ lane }) => lane));
    return [...active, ...this.#paused.activity(known)]
      .toSorted((one, other) => other.queued + other.inFlight - one.queued - one.inFlight)
      .slice(0, most);
  }

  /** What is known of hosts, and how many lanes are left to the outbox since their host is paused. */
  get load(): SenderLoad {
    return { ...this.#hosts.load(this.#parts.clock.now()), lanesPaused: this.#paused.size };
  }

  /** A permit of this host's own rate is free. */
  release(host: string): void {
    this.#hosts.release(host, this.#parts.clock.now());
  }

  /** There may be memory for answers of hosts that were refused a start for want of it. */
  answersHaveRoom(): void {
    this.#hosts.answersHaveRoom(this.#parts.clock.now());
  }

  /** Starts what the limits allow now. */
  start(): void {
    const { rate, clock, events } = this.#parts;
    const now = clock.now();
    this.#trim(now);
    for (let flight = this.#hosts.start(rate, now); flight !== null; flight = this.#hosts.start(rate, now)) {
      const { lane, request } = flight.entry;
      this.#memory.start(lane, request.bytes);
      this.#send(flight);
      if (this.isLow(lane)) events.low(lane);
    }
    if (this.isShortOfPlaces) this.shortOfPlaces.notify();
  }

  get isShortOfPlaces(): boolean {
    return this.#hosts.isShortOfPlaces;
  }

  /** P6: where hosts without any place wait for one, ends as many requests as they need, of those in flight for longer than `ms`. */
  endLongerThan(ms: number): void {
    const now = this.#parts.clock.now();
    let lacking = this.#hosts.lackingPlaces(now);
    if (lacking <= 0) return;
    for (const { entry } of this.#hosts.inFlightLongerThan(ms, now)) {
      if (this.#parts.http.expire(entry.request)) lacking--;
      if (lacking <= 0) return;
    }
  }

  #send(flight: Flight): void {
    const { request, host } = flight.entry;
    this.#parts.observer?.started(flight.entry);
    const memory = this.#parts.answers.open(host);
    void this.#parts.http.send(request, memory).then((outcome) => this.#end(flight, outcome, memory));
  }

  #end(flight: Flight, outcome: Outcome, memory: AnswerMemory): void {
    const { results, clock, random, events, observer } = this.#parts;
    const { request, insertedBy, host } = flight.entry;
    const known = this.#known.get(request.id);
    if (known !== undefined) known.endedAt = clock.now();
    const failure = failureOf(outcome);
    if (failure !== null) this.#hosts.failed(host, failure, clock.now());
    this.#hosts.finish(flight, outcome.kind === "answered", clock.now());
    if (outcome.kind === "answered") this.#answered.answered(flight.entry.lane, host);
    // The row stays in the outbox and is sent by whoever leads next.
    if (outcome.kind === "failed" && (outcome.code === "aborted" || outcome.code === "shortage")) {
      memory.release();
      observer?.ended(host, outcome, null);
      if (outcome.code === "aborted") this.#release(request.id);
      else {
        const delayMs = this.#shortage.delayMs(outcome.detail ?? outcome.code, clock.now());
        results.write({ kind: "deferred", request, outcome: null, delayMs }, insertedBy);
      }
    } else this.#complete(completionOf(request, outcome, random()), outcome, flight.entry, memory);
    events.ended();
  }

  #complete(
    completion: Completion,
    outcome: Outcome,
    of: Pick<Entry, "host" | "insertedBy">,
    memory: AnswerMemory,
  ): void {
    const { results, observer } = this.#parts;
    observer?.ended(of.host, outcome, completion.kind);
    results.write(completion, of.insertedBy, memory);
  }

  /** These need no memory any more. */
  settled(completions: readonly Completion[]): void {
    const { clock, observer } = this.#parts;
    const now = clock.now();
    for (const { request } of completions) {
      const known = this.#release(request.id);
      observer?.stored(now - (known?.endedAt ?? now));
    }
  }

  /** Gives up everything not started: the outbox has it. */
  clear(): void {
    for (const { request, lane } of this.#hosts.clear()) {
      this.#memory.giveUp(lane, request.bytes);
      this.#forget(request.id);
    }
  }

  #release(id: bigint): Known | undefined {
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    this.#memory.release(known.bytes);
    this.#forget(id, known);
    return known;
  }

  #forget(id: bigint, known = this.#known.get(id)): void {
    if (known === undefined) return;
    this.#known.delete(id);
    if (known.seenAgain) this.#parts.events.seenAgain();
    if (this.#known.size === 0) this.#emptied.notify();
  }

  /** Resolves when nothing is in memory, or when `signal` fires. */
  async empty(signal: AbortSignal): Promise<void> {
    while (this.#known.size > 0 && !signal.aborted) await this.#emptied.wait(null, this.#parts.clock, signal);
  }
}
