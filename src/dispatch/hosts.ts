import type { HostSettings } from "../outbox/host-settings.ts";
import type { Recall } from "../outbox/recall.ts";
import { type Entry, Host, type HostShare } from "./host.ts";
import { ParkingSpace } from "./parking.ts";

/** Bounds of what is in flight at once. */
export interface Concurrency {
  readonly total: number;
  /** To one host, whatever is free. */
  readonly perHost: number;
}

/** What is in flight at most, in requests and in bytes. */
export interface FlightBounds extends Concurrency {
  readonly bytes: number;
}

/** Parked requests are parked when that is written: so much later at most, in milliseconds. */
const WRITTEN_WITHIN_MS = 2_000;

/** Whether a start is allowed by a rate; false is followed by a call of the owner when one is. */
export interface Permits {
  isFree(): boolean;
  tryTake(): boolean;
}

/** An entry that its host has no room for, and how long it waits in the outbox. */
export interface Shed {
  readonly entry: Entry;
  readonly delayMs: number;
}

/** This share of all places is kept for hosts that have few in flight, and that many are few. */
const KEPT_SHARE = 1 / 8;
const FEW_SHARE = 1 / 64;
/** P5: so many hosts are remembered; of those beyond, only the ones of which something waits or is in flight. */
const REMEMBERED_HOSTS = 10_000;
/** So many requests to others start before the next one to a slow host. */
const OTHERS_BEFORE_SLOW = 3;

/**
 * Requests waiting for their turn, by destination host, taken in turns (P6). A host may have as many in flight, in
 * requests and in bytes, as are free in all: however many destinations hang, each further one still finds room.
 */
export class Hosts {
  readonly #bounds: FlightBounds;
  readonly #kept: number;
  readonly #few: number;
  readonly #rateOf: (host: string) => Permits | null;
  readonly #hasRoom: (host: string) => boolean;
  readonly #hosts = new Map<string, Host>();
  readonly #share: HostShare;
  /** Hosts with waiting requests, in the order of their turns. */
  #turns: Host[] = [];
  #settings: ReadonlyMap<string, HostSettings> = new Map();
  #waiting = 0;
  #waitingForSlow = 0;
  #sinceSlow = 0;
  #inFlight = 0;
  #bytesInFlight = 0;

  /** `rateOf` gives the rate of a host that has one of its own; `hasRoom` says whether there is memory for an answer of it. */
  constructor(
    bounds: FlightBounds,
    rateOf: (host: string) => Permits | null,
    hasRoom: (host: string) => boolean = () => true,
  ) {
    this.#bounds = bounds;
    this.#kept = Math.floor(bounds.total * KEPT_SHARE);
    this.#few = Math.max(1, Math.floor(bounds.total * FEW_SHARE));
    this.#rateOf = rateOf;
    this.#hasRoom = hasRoom;
    this.#share = { concurrency: bounds.perHost, space: new ParkingSpace() };
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Of those waiting, the ones that wait for nothing but their turn: what waits for a slow host holds back nobody else. */
  get waitingForTurn(): number {
    return this.#waiting - this.#waitingForSlow;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Takes effect at once; what is in flight ends as it would have. */
  configure(settings: ReadonlyMap<string, HostSettings>): void {
    this.#settings = settings;
    for (const host of this.#hosts.values()) host.configure(settings.get(host.name));
    this.#countSlow();
  }

  /** Adds an entry; false where its host would not take it soon, so that it is better parked. */
  add(entry: Entry): boolean {
    const host = this.#hostOf(entry);
    host.back(entry);
    if (host.isCrowded) return false;
    if (host.waiting === 0) this.#turns.push(host);
    host.add(entry);
    this.#waiting++;
    if (host.isSlow) this.#waitingForSlow++;
    return true;
  }

  /** Takes the next entry whose host has room and a permit, with one of `permits`; null where nothing may start now. */
  start(permits: Permits, now: number): Entry | null {
    const free = this.#bounds.total - this.#inFlight;
    if (free <= 0 || this.#turns.length === 0 || !permits.isFree()) return null;
    const at = this.#nextTurn(free, now);
    const host = this.#turns[at];
    if (host === undefined) return null;
    permits.tryTake();
    this.#sinceSlow = host.isSlow ? 0 : this.#sinceSlow + 1;
    const entry = host.take(now);
    this.#waiting--;
    if (host.isSlow) this.#waitingForSlow--;
    this.#inFlight++;
    this.#bytesInFlight += entry.request.bytes;
    this.#turns.splice(at, 1);
    if (host.waiting > 0) this.#turns.push(host);
    return entry;
  }

  /** Where anything else may start, slow hosts get but a share of the permits. */
  #nextTurn(free: number, now: number): number {
    if (this.#waitingForSlow > 0 && this.#sinceSlow < OTHERS_BEFORE_SLOW) {
      const at = this.#turns.findIndex((host) => !host.isSlow && this.#mayStart(host, free, now));
      if (at !== -1) return at;
    }
    return this.#turns.findIndex((host) => this.#mayStart(host, free, now));
  }

  #mayStart(host: Host, free: number, now: number): boolean {
    const may =
      host.hasPlace &&
      (host.inFlight < free - this.#kept || host.inFlight < this.#few) &&
      this.#hasBytes(host) &&
      this.#hasRoom(host.name) &&
      (this.#rateOf(host.name)?.tryTake() ?? true);
    if (!may) host.limited(now);
    return may;
  }

  #hasBytes(host: Host): boolean {
    const freeBytes = this.#bounds.bytes - this.#bytesInFlight - host.nextBytes;
    return host.inFlight === 0 || host.bytesInFlight <= freeBytes;
  }

  /** An entry given by `start` is no longer in flight. */
  finish(entry: Entry, now: number): void {
    const host = this.#hostOf(entry);
    this.#inFlight--;
    this.#bytesInFlight -= entry.request.bytes;
    host.finish(entry, now);
    this.#forgetOver(host, now);
  }

  /** Parks an entry that `add` refused, and returns for how many milliseconds it waits in the outbox. */
  park(entry: Entry, now: number): number {
    return this.#hostOf(entry).park(entry, now);
  }

  /** True while there is anything to `shed` or to `callBack`. */
  get isBusy(): boolean {
    if (this.#waiting > 0) return true;
    for (const host of this.#hosts.values()) if (host.hasParked) return true;
    return false;
  }

  /** Parked requests whose hosts would take them soon: they are to come back. */
  callBack(now: number): Recall {
    const ids: bigint[] = [];
    let restMs = 0;
    for (const host of this.#hosts.values()) {
      const called = host.callBack(now);
      if (called.length === 0) continue;
      ids.push(...called);
      restMs = Math.max(restMs, host.parkedRestMs(now));
    }
    return { ids, withinMs: restMs + WRITTEN_WITHIN_MS };
  }

  /** P6: gives up what slow hosts would not take soon; `pressure` as for `Host.judge`. */
  shed(now: number, pressure: boolean): readonly Shed[] {
    const shed: Shed[] = [];
    for (const host of this.#hosts.values()) {
      host.judge(now, pressure);
      for (const entry of host.shed()) shed.push({ entry, delayMs: host.park(entry, now) });
      this.#forgetOver(host, now);
    }
    this.#waiting -= shed.length;
    if (shed.length > 0) this.#turns = this.#turns.filter((host) => host.waiting > 0);
    this.#countSlow();
    return shed;
  }

  /** Gives up everything not started, and returns it. */
  clear(): readonly Entry[] {
    const given = [...this.#hosts.values()].flatMap((host) => host.clear());
    this.#turns = [];
    this.#waiting = 0;
    this.#waitingForSlow = 0;
    return given;
  }

  #countSlow(): void {
    this.#waitingForSlow = this.#turns.reduce((sum, host) => sum + (host.isSlow ? host.waiting : 0), 0);
  }

  #forgetOver(host: Host, now: number): void {
    if (!host.isOver(now) && !(host.isIdle && this.#hosts.size > REMEMBERED_HOSTS)) return;
    host.forgetParked();
    this.#hosts.delete(host.name);
  }

  #hostOf({ host: name }: Entry): Host {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const host = new Host(name, this.#settings.get(name), this.#share);
    this.#hosts.set(name, host);
    return host;
  }
}
