import Denque from "denque";

import type { HostSettings } from "../outbox/host-settings.ts";
import type { Request } from "../outbox/request.ts";
import type { Inserter } from "../outbox/snapshot.ts";
import { Parking, type ParkingSpace } from "./parking.ts";
import { type Measure, Throughput } from "./throughput.ts";

/** A request in memory that was not started yet, or is in flight. */
export interface Entry {
  readonly request: Request;
  /** The transaction a streamed row came with; null for a swept row, which is visible by its very reading. */
  readonly insertedBy: Inserter | null;
  readonly host: string;
}

/** From so many requests per second on a host is never slow: parking would cost more than it brings. */
const FAST_PER_SECOND = 1_000;
/** One that takes fewer in its first moments may hang: until that is sure, so many of its requests wait. */
const HANGS_PER_SECOND = 100;
const KEPT_UNSURE = 16;
/** So many come back at once in the end. */
const MOST_REACH = 4_000;
/** A slow host keeps what it takes in so many seconds: more than one, since that varies. */
const KEPT_SECONDS = 2;

/** What all hosts have in common. */
export interface HostShare {
  /** Requests in flight to a host without settings of its own. */
  readonly concurrency: number;
  /** Where parked requests are remembered. */
  readonly space: ParkingSpace;
}

/** One destination host: what waits for it, what is in flight to it, and how much of that it takes. */
export class Host {
  readonly name: string;
  readonly #defaultConcurrency: number;
  #concurrency = 0;
  #paused = false;
  readonly #queue = new Denque<Entry>();
  #inFlight = 0;
  #bytesInFlight = 0;
  /** Entries that may wait beyond what its free places take; Infinity for a host that is not slow. */
  #mostWaiting = Infinity;
  #measure: Measure | null = null;
  /** So many that were parked came back at once; more each time, as long as the host takes them all. */
  #reach = 0;
  readonly #throughput = new Throughput();
  readonly #parking: Parking;

  constructor(name: string, settings: HostSettings | undefined, { concurrency, space }: HostShare) {
    this.name = name;
    this.#defaultConcurrency = concurrency;
    this.#parking = new Parking(space);
    this.configure(settings);
  }

  /** The settings from now on; without any, the defaults. */
  configure(settings: HostSettings | undefined): void {
    this.#concurrency = settings?.concurrency ?? this.#defaultConcurrency;
    this.#paused = settings?.paused ?? false;
    this.#mostWaiting = this.#paused ? 0 : Infinity;
    this.#reach = 0;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  /** True where it takes less than others could be sent meanwhile: what waits for it does not hold back the outbox. */
  get isSlow(): boolean {
    return this.#mostWaiting !== Infinity;
  }

  /** Free places, whatever is free in all. */
  get #free(): number {
    return this.#paused ? 0 : Math.max(0, this.#concurrency - this.#inFlight);
  }

  get hasPlace(): boolean {
    return this.#free > 0;
  }

  /** Bytes of the first waiting entry. */
  get nextBytes(): number {
    return this.#queue.peekFront()?.request.bytes ?? 0;
  }

  /** True where requests are parked that may be called back. */
  get hasParked(): boolean {
    return this.#parking.hasAny;
  }

  /** True where nothing waits or is in flight. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && this.waiting === 0;
  }

  /** True where nothing of it is worth remembering. */
  isOver(now: number): boolean {
    return this.isIdle && this.#parking.isOver(now);
  }

  /** Remembers nothing of what is parked: it comes back by itself. */
  forgetParked(): void {
    this.#parking.forget();
  }

  add(entry: Entry): void {
    this.#queue.push(entry);
  }

  /** Called when a waiting entry could not be started for want of a place or a permit of this host. */
  limited(now: number): void {
    this.#throughput.limited(now);
  }

  /** Takes the first waiting entry into flight. */
  take(now: number): Entry {
    const entry = this.#queue.shift();
    if (entry === undefined) throw new RangeError("nothing waits for this host");
    this.#inFlight++;
    this.#bytesInFlight += entry.request.bytes;
    if (this.waiting === 0 && this.hasPlace) this.#throughput.relaxed(now);
    return entry;
  }

  finish({ request }: Entry, now: number): void {
    this.#inFlight--;
    this.#bytesInFlight -= request.bytes;
    this.#throughput.end();
    if (this.waiting === 0) this.#throughput.relaxed(now);
  }

  /** Gives up everything not started, and returns it; what is parked comes back by itself. */
  clear(): readonly Entry[] {
    this.forgetParked();
    const given = this.#queue.toArray();
    this.#queue.clear();
    return given;
  }

  /**
   * P6: judges whether this host is slow. Under `pressure`, where what waits keeps others out of memory, its first
   * moments have to do.
   */
  judge(now: number, pressure: boolean): void {
    this.#measure = this.#throughput.measure(now);
    this.#mostWaiting = this.#paused ? 0 : mostWaiting(this.#measure, pressure);
  }

  /** P6: true where one more entry would not be taken soon. */
  get isCrowded(): boolean {
    return this.waiting >= this.#room;
  }

  /** P6: takes out what this host will not take soon; the last to come go first. */
  shed(): readonly Entry[] {
    const room = this.#room;
    const shed: Entry[] = [];
    while (this.waiting > room) {
      const last = this.#queue.pop();
      if (last === undefined) break;
      shed.push(last);
    }
    return shed.toReversed();
  }

  get #room(): number {
    return this.#roomFor(this.#reach);
  }

  /** Parks an entry without room, and returns for how many milliseconds it waits in the outbox. */
  park({ request }: Entry, now: number): number {
    return this.#parking.park(request, this.#paused || this.#measure?.sure === true, now);
  }

  /** This entry is no longer parked, if it was. */
  back({ request }: Entry): void {
    this.#parking.back(request.id);
  }

  /** Milliseconds until the last parked request comes back by itself. */
  parkedRestMs(now: number): number {
    return this.#parking.restMs(now);
  }

  /** Ids of parked requests that this host would take soon: they are to come back. */
  callBack(now: number): readonly bigint[] {
    if (this.#paused || !this.#parking.hasAny) return [];
    const reach = this.#throughput.isLimited ? 0 : Math.min(MOST_REACH, Math.max(this.#concurrency, this.#reach * 2));
    const room = this.isSlow ? this.#roomFor(reach) : Math.max(reach, Math.ceil((this.#measure?.perSecond ?? 0) / 2));
    const missing = room - this.waiting - this.#parking.called(now);
    if (missing * 2 < room) return [];
    this.#reach = reach;
    return this.#parking.call(missing, now);
  }

  /** What may wait, where one that takes all that comes may have `reach` more. */
  #roomFor(reach: number): number {
    return this.#mostWaiting + (this.#throughput.isLimited ? 0 : Math.max(this.#free, reach));
  }
}

function mostWaiting(measure: Measure | null, pressure: boolean): number {
  if (measure === null || measure.perSecond >= FAST_PER_SECOND) return Infinity;
  const kept = Math.ceil(measure.perSecond * KEPT_SECONDS);
  if (measure.sure) return Math.max(1, kept);
  return pressure && measure.perSecond < HANGS_PER_SECOND ? KEPT_UNSURE : Infinity;
}
