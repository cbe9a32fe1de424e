import type { HostSettings } from "../outbox/host-settings.ts";
import { hostOfLane, type Lane } from "../outbox/lane.ts";
import { type Entry, type Flight, Host } from "./host.ts";
import { Places } from "./places.ts";
import { Turn, Turns, type VirtualTime } from "./turns.ts";

/** Bounds of what is in flight at once. */
export interface Concurrency {
  readonly total: number;
  /** To one host, whatever is free. */
  readonly perHost: number;
}

/** What is in flight at most, in requests and in bytes, and how many start. */
export interface FlightBounds extends Concurrency {
  readonly bytes: number;
  /** Requests of more bytes are not counted: memory holds few of them. */
  readonly largeFrom: number;
  /** Requests started per second at most. */
  readonly perSecond: number | "unlimited";
}

/** Whether a start is allowed by a rate; false is followed by a call of the owner when one is. */
export interface Permits {
  isFree(): boolean;
  tryTake(): boolean;
}

/** Those of the rate of all hosts: of what is free some is kept for lanes that are sent to seldom, the rest is spare. */
export interface AllPermits extends Permits {
  hasSpare(): boolean;
}

/** What the next start of a host waits for. */
export type WaitsFor = "rate" | "host_rate" | "host_concurrency" | "places" | "answer_memory";

/** What there is of one host in memory. */
export interface HostLoad {
  readonly host: string;
  readonly queued: number;
  readonly inFlight: number;
  readonly waitsFor: WaitsFor;
  /** Of those queued; see `OutboxRow.waitsSince`. */
  readonly waitsSince: number;
}

/** What a host last did wrong, and how long ago. */
export interface PastFailure {
  readonly code: string;
  readonly msAgo: number;
}

/** What a sender knows of hosts. */
export interface SenderLoad {
  /** Those of which something is in memory. */
  readonly hosts: readonly HostLoad[];
  readonly lastFailures: ReadonlyMap<string, PastFailure>;
  readonly lanesPaused: number;
}

/** A rate that is taken for `unlimited` where time in flight is weighed against starts. */
const UNLIMITED_PER_SECOND = 10_000;
/** While responsive hosts have something to start, one start of so many goes to the others. */
const OTHERS_ONE_OF = 8;
/** So many idle hosts are remembered, those that ended last. */
const REMEMBERED = 1_024;

/**
 * Requests queued for their turn, by destination host (P6). Turns go to the host that has used least of what is scarce:
 * each request costs one start, or its time in flight where that is a larger share of all places than one start is of the
 * rate. Within a host they go to its lanes likewise. Responsive hosts go before the others, which have one start of eight for
 * themselves: a thousand hosts that hang, each with its share, would leave a busy one next to nothing.
 *
 * A host is in one of these modes; each of the last three ends with its being listed:
 *
 * - *nothing queued*: until `add`. With nothing in flight, either, it is forgotten once enough others are like that.
 * - *listed*: it waits for its turn, among the responsive hosts or among the others. At its turn (`start`) a request of it starts,
 *   and it is listed again while more is queued; or none may start, for the reason that is its mode then.
 * - *held back for places or bytes* (`#heldBack`): until so many places are free (`#heldBackUntilFree`).
 * - *held back for memory* (`#answersHeldBack`): until there may be memory for its answers (`answersHaveRoom`).
 * - *blocked* by its own concurrency, rate or pause: until `finish`, `release` or `configure`.
 */
export class HostScheduler {
  readonly #bounds: FlightBounds;
  readonly #places: Places;
  readonly #rateOf: (host: string) => Permits | null;
  readonly #hasAnswerRoom: (host: string) => boolean;
  /** Every host that is known, by name. */
  readonly #hosts = new Map<string, Turn<Host>>();
  /** Hosts without anything queued or in flight, the one that ended last at the end. */
  readonly #idle = new Set<string>();
  /** Of both lists, since hosts go from one to the other. */
  readonly #time: VirtualTime = { used: 0 };
  readonly #responsive = new Turns<Host>(this.#time);
  readonly #others = new Turns<Host>(this.#time);
  readonly #heldBack = new Set<Turn<Host>>();
  /** So many places must be free before one that is held back may start. */
  #heldBackUntilFree = Infinity;
  /** Starts of responsive hosts since one of the others. */
  #sinceOther = 0;
  readonly #answersHeldBack = new Set<Turn<Host>>();
  #settings: ReadonlyMap<string, HostSettings> = new Map();
  #queued = 0;
  #inFlight = 0;
  #bytesInFlight = 0;

  /** `rateOf` gives the rate of a host that has one of its own; `hasAnswerRoom` says whether there is memory for an answer of it. */
  constructor(
    bounds: FlightBounds,
    rateOf: (host: string) => Permits | null,
    hasAnswerRoom: (host: string) => boolean = () => true,
  ) {
    this.#bounds = bounds;
    this.#places = new Places(bounds.total);
    this.#rateOf = rateOf;
    this.#hasAnswerRoom = hasAnswerRoom;
  }

  get queued(): number {
    return this.#queued;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Takes effect at once; what is in flight ends as it would have. Returns what waits for hosts that are paused: it is given up. */
  configure(settings: ReadonlyMap<string, HostSettings>, now: number): readonly Entry[] {
    this.#settings = settings;
    const given: Entry[] = [];
    for (const turn of this.#hosts.values()) {
      const { member: host } = turn;
      host.configure(settings.get(host.name));
      if (host.isPaused) given.push(...host.clear());
      this.#list(turn, now);
      this.#settle(host);
    }
    this.#queued -= given.length;
    return given;
  }

  /** True where nothing may be sent to `host` for now: its requests wait in the outbox. */
  isPaused(host: string): boolean {
    return this.#settings.get(host)?.paused ?? false;
  }

  /** True where `host` has answered soon, and lately. */
  isResponsive(host: string, now: number): boolean {
    return this.#hosts.get(host)?.member.standing(now) === "responsive";
  }

  add(entry: Entry, now: number): void {
    const turn = this.#turnOf(entry.host);
    turn.member.add(entry);
    this.#queued++;
    if (turn.member.queued === 1) this.#list(turn, now);
  }

  /** Takes the next entry whose host has room and a permit, with one of `permits`; null where nothing may start now. */
  start(permits: AllPermits, now: number): Flight | null {
    if (this.#queued === 0 || !permits.isFree()) return null;
    for (let turn = this.#next(permits, now); turn !== null; turn = this.#next(permits, now)) {
      const { member: host } = turn;
      if (host.next === null || !this.#mayStart(turn, now)) continue;
      permits.tryTake();
      this.#sinceOther = host.standing(now) === "responsive" ? this.#sinceOther + 1 : 0;
      const cost = this.#cost(host.typicalMs ?? 0);
      turn.used += cost;
      const flight = host.take({ cost, bytes: this.#counted(host.next), now });
      this.#queued--;
      this.#inFlight++;
      this.#bytesInFlight += flight.bytes;
      this.#list(turn, now);
      return flight;
    }
    return null;
  }

  #next(permits: AllPermits, now: number): Turn<Host> | null {
    const free = this.#bounds.total - this.#inFlight;
    if (free <= 0) return null;
    if (free >= this.#heldBackUntilFree) this.#listHeldBack(now);
    const responsive = this.#responsive.peek();
    const other = this.#places.areReserved(free) ? null : this.#others.peek();
    if (responsive !== null && other !== null && this.#sinceOther >= OTHERS_ONE_OF - 1) return this.#others.take();
    const first = responsive ?? other;
    // P6: a backlog takes spare permits alone; what came alone may take a kept one, when it is its turn.
    if (first === null || !(first.member.isNextSparse || permits.hasSpare())) return null;
    return first === responsive ? this.#responsive.take() : this.#others.take();
  }

  /** False where the host, taken out of its list, is held back or blocked now. */
  #mayStart(turn: Turn<Host>, now: number): boolean {
    const { member: host } = turn;
    if (!host.hasPlace) return false;
    const needed = this.#places.needed({ inFlight: host.inFlight, standing: host.standing(now) });
    if (this.#bounds.total - this.#inFlight < needed) return this.#holdBack(turn, needed);
    if (!this.#hasBytes(host, now)) return this.#holdBack(turn, this.#bounds.total - this.#inFlight + 1);
    if (!this.#hasAnswerRoom(host.name)) {
      this.#answersHeldBack.add(turn);
      return false;
    }
    return this.#rateOf(host.name)?.tryTake() ?? true;
  }

  #holdBack(turn: Turn<Host>, needed: number): false {
    this.#heldBack.add(turn);
    this.#heldBackUntilFree = Math.min(this.#heldBackUntilFree, needed, this.#bounds.total);
    return false;
  }

  #listHeldBack(now: number): void {
    this.#heldBackUntilFree = Infinity;
    this.#listAll(this.#heldBack, now);
  }

  #listAll(heldBack: Set<Turn<Host>>, now: number): void {
    const turns = [...heldBack];
    heldBack.clear();
    for (const turn of turns) this.#list(turn, now);
  }

  /** There may be memory for the answers of hosts that are held back for want of it. */
  answersHaveRoom(now: number): void {
    this.#listAll(this.#answersHeldBack, now);
  }

  /** A host leaves as much free as it has, until it is responsive: however many hang, each further one finds some. */
  #hasBytes(host: Host, now: number): boolean {
    const bytes = this.#counted(host.next);
    const wanted = bytes === 0 ? 0 : host.bytesInFlight + bytes;
    const free = this.#bounds.bytes - this.#bytesInFlight;
    return host.standing(now) === "responsive" ? wanted <= free : 2 * wanted <= free;
  }

  #counted(entry: Entry | null): number {
    const bytes = entry?.request.bytes ?? 0;
    return bytes > this.#bounds.largeFrom ? 0 : bytes;
  }

  /** The share of all places that `ms` in flight is, in starts. */
  #cost(ms: number): number {
    const perSecond = this.#bounds.perSecond === "unlimited" ? UNLIMITED_PER_SECOND : this.#bounds.perSecond;
    return Math.max(1, (ms * perSecond) / (1_000 * this.#bounds.total));
  }

  /** A flight given by `start` has ended; `answered` where the host sent an answer. */
  finish(flight: Flight, answered: boolean, now: number): void {
    const { entry, startedAt, charged } = flight;
    const turn = this.#turnOf(entry.host);
    this.#inFlight--;
    this.#bytesInFlight -= flight.bytes;
    const owed = this.#cost(now - startedAt) - charged;
    turn.owed += owed;
    turn.member.finish(flight, { now, owed, answered });
    this.#list(turn, now);
    this.#settle(turn.member);
  }

  /** P6: true where hosts may wait for a place that have none. */
  get isShortOfPlaces(): boolean {
    return this.#queued > 0 && this.#places.areReserved(this.#bounds.total - this.#inFlight);
  }

  /** P6: so many places are to become free that each host without any that lacks nothing else may start a request, within a second. */
  lackingPlaces(now: number): number {
    if (!this.isShortOfPlaces) return 0;
    let [responsive, others] = [0, 0];
    for (const { member: host } of this.#hosts.values()) {
      if (!this.#lacksPlacesAlone(host, now)) continue;
      if (host.standing(now) === "responsive") responsive++;
      else others++;
    }
    const { perSecond, total } = this.#bounds;
    const most = perSecond === "unlimited" ? Infinity : Math.max(1, perSecond);
    const needed = { responsive: Math.min(responsive, most), others: Math.min(others, most) };
    return this.#places.neededFor(needed) - (total - this.#inFlight);
  }

  #lacksPlacesAlone(host: Host, now: number): boolean {
    if (host.queued === 0 || host.inFlight > 0 || !host.hasPlace || !this.#hasBytes(host, now)) return false;
    return (this.#rateOf(host.name)?.isFree() ?? true) && this.#hasAnswerRoom(host.name);
  }

  /** What has been in flight for longer than `ms`, the longest first. */
  inFlightLongerThan(ms: number, now: number): readonly Flight[] {
    return [...this.#hosts.values()]
      .flatMap(({ member }) => [...member.flights].filter(({ startedAt }) => now - startedAt > ms))
      .toSorted((one, other) => one.startedAt - other.startedAt);
  }

  /** A request to this host failed. */
  failed(host: string, code: string, now: number): void {
    this.#turnOf(host).member.lastFailure = { code, at: now };
  }

  /** The hosts of which something is in memory. */
  get busy(): readonly Host[] {
    return [...this.#hosts.values()].flatMap(({ member }) => (member.isIdle ? [] : [member]));
  }

  /** The same, with what their next starts wait for; and what hosts last did wrong, also those of which nothing is in memory now. */
  load(now: number): Omit<SenderLoad, "lanesPaused"> {
    const hosts: HostLoad[] = [];
    const lastFailures = new Map<string, PastFailure>();
    for (const turn of this.#hosts.values()) {
      const { name: host, queued, inFlight, waitsSince, isIdle, lastFailure } = turn.member;
      if (!isIdle) hosts.push({ host, queued, inFlight, waitsFor: this.#waitsFor(turn, now), waitsSince });
      if (lastFailure !== null) lastFailures.set(host, { code: lastFailure.code, msAgo: now - lastFailure.at });
    }
    return { hosts, lastFailures };
  }

  #waitsFor(turn: Turn<Host>, now: number): WaitsFor {
    if (!turn.member.hasPlace) return "host_concurrency";
    if (this.#answersHeldBack.has(turn)) return "answer_memory";
    if (this.#heldBack.has(turn)) return "places";
    if (turn.listing === null) return "host_rate";
    const free = this.#bounds.total - this.#inFlight;
    const isReserved = turn.member.standing(now) !== "responsive" && this.#places.areReserved(free);
    return free <= 0 || isReserved ? "places" : "rate";
  }

  /** A permit of this host's own rate is free. */
  release(host: string, now: number): void {
    const turn = this.#hosts.get(host);
    if (turn !== undefined) this.#list(turn, now);
  }

  /** Gives up the later half of what waits in `lane`, and returns it. */
  giveUp(lane: Lane): readonly Entry[] {
    const given: Entry[] = [];
    for (const { member: host } of this.#turnsOf(lane)) {
      given.push(...host.giveUp(lane));
      this.#settle(host);
    }
    this.#queued -= given.length;
    return given;
  }

  /** The hosts that something of `lane` may be queued for. */
  #turnsOf(lane: Lane): Iterable<Turn<Host>> {
    const host = hostOfLane(lane);
    if (host === null) return this.#hosts.values();
    const turn = this.#hosts.get(host);
    return turn === undefined ? [] : [turn];
  }

  /** Gives up everything not started, and returns it. */
  clear(): readonly Entry[] {
    const given = [...this.#hosts.values()].flatMap(({ member }) => member.clear());
    this.#queued = 0;
    for (const list of [this.#responsive, this.#others]) list.clear();
    for (const { member } of this.#hosts.values()) this.#settle(member);
    return given;
  }

  /** Lists a host that may have something to start, where it belongs now. */
  #list(turn: Turn<Host>, now: number): void {
    if (turn.member.queued === 0 || !turn.member.hasPlace) return;
    const list = turn.member.standing(now) === "responsive" ? this.#responsive : this.#others;
    list.list(turn);
  }

  /** Remembers few of the hosts without anything to do. */
  #settle(host: Host): void {
    this.#idle.delete(host.name);
    if (!host.isIdle) return;
    this.#idle.add(host.name);
    if (this.#idle.size <= REMEMBERED) return;
    const [oldest] = this.#idle;
    if (oldest === undefined) return;
    this.#idle.delete(oldest);
    // It may have something to do again since it ended last.
    if (this.#hosts.get(oldest)?.member.isIdle === true) this.#hosts.delete(oldest);
  }

  #turnOf(name: string): Turn<Host> {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const turn = new Turn(new Host(name, this.#settings.get(name), this.#bounds.perHost));
    this.#hosts.set(name, turn);
    return turn;
  }
}
