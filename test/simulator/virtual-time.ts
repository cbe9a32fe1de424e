import TinyQueue from "tinyqueue";

import { Random } from "./random.ts";

/** A process of the simulation: what it does is done in its name, so that it can be paused, or killed in the middle. */
export interface Process {
  readonly name: string;
  /** Nothing of it happens before. */
  pausedUntil: number;
  /** Nothing of it happens any more, as after SIGKILL. */
  isDead: boolean;
  /** Timers of it that wait. */
  timers: number;
}

interface Event {
  at: number;
  readonly order: number;
  readonly owner: Process | null;
  readonly isTimer: boolean;
  act: (() => void) | null;
}

/** What `setTimeout` returns. */
class Timer {
  readonly event: Event;

  constructor(event: Event) {
    this.event = event;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

const real = { setImmediate: globalThis.setImmediate, now: performance.now.bind(performance) };

let queue = new TinyQueue<Event>([], compare);
let now = 0;
let count = 0;
let current: Process | null = null;
let random = new Random(0);

function compare(one: Event, other: Event): number {
  return one.at - other.at || one.order - other.order;
}

/** The time of the simulation, in milliseconds. */
export function virtualNow(): number {
  return now;
}

/** Real time in milliseconds. */
export const realNow: () => number = real.now;

/** In whose name something is done now; null is the world around. */
export function currentProcess(): Process | null {
  return current;
}

/** Has `act` done in the name of `owner` after `ms`. Returns what calls that off. */
export function after(ms: number, owner: Process | null, act: () => void): () => void {
  const event = add(ms, owner, act, false);
  return () => {
    event.act = null;
  };
}

function add(ms: number, owner: Process | null, act: () => void, isTimer: boolean): Event {
  count++;
  const event = { at: now + Math.max(0, ms), order: count, owner, isTimer, act };
  queue.push(event);
  if (isTimer && owner !== null) owner.timers++;
  return event;
}

/** Does something now in the name of `owner`. */
export function as(owner: Process | null, act: () => void): void {
  const before = current;
  current = owner;
  try {
    act();
  } finally {
    current = before;
  }
}

/** Begins at time 0 with nothing to come, and with the random numbers of `seed`. */
export function resetTime(seed: number): void {
  random = new Random(seed);
  queue = new TinyQueue<Event>([], compare);
  now = 0;
  count = 0;
  current = null;
}

/** Lets everything happen until `until`, or until `isDone` after some event. */
export async function runTime(until: number, isDone: () => boolean = () => false): Promise<void> {
  for (let event = queue.peek(); event !== undefined && event.at <= until; event = queue.peek()) {
    queue.pop();
    const { owner } = event;
    if (event.act === null) continue;
    if (owner !== null && !owner.isDead && owner.pausedUntil > event.at) {
      event.at = owner.pausedUntil;
      queue.push(event);
      continue;
    }
    now = event.at;
    if (owner === null) event.act();
    else if (!owner.isDead) await turnOf(owner, event);
    if (isDone()) return;
  }
  now = Math.max(now, until);
}

/** One turn of a process: the event, and all promises that follow from it. */
async function turnOf(owner: Process, event: Event): Promise<void> {
  current = owner;
  if (event.isTimer) owner.timers--;
  const { act } = event;
  event.act = null;
  act?.();
  await promises();
  current = null;
}

/** Lets all promises run that can. */
export function promises(): Promise<void> {
  return new Promise((resolve) => {
    real.setImmediate(resolve);
  });
}

/** As `AbortSignal.any`, whose signals Node holds until they fire: those of a daemon that is killed never do. */
function anyOf(signals: Iterable<AbortSignal>): AbortSignal {
  const any = new AbortController();
  const sources = [...signals];
  const fired = sources.find(({ aborted }) => aborted);
  if (fired !== undefined) any.abort(fired.reason);
  for (const source of any.signal.aborted ? [] : sources) {
    source.addEventListener("abort", () => any.abort(source.reason), { once: true, signal: any.signal });
  }
  return any.signal;
}

/** The time of the simulation has begun this long after the epoch, in milliseconds. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/**
 * Puts the time of the simulation in the place of the real one for the whole process: libraries (a pool of connections, a limiter)
 * set timers of their own, which no argument reaches. `Math.random` gives those of `resetTime`.
 */
export function installVirtualTime(): void {
  const start = (act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): Timer =>
    new Timer(add(ms, current, () => act(...args), true));
  const end = (timer: unknown): void => {
    if (!(timer instanceof Timer) || timer.event.act === null) return;
    timer.event.act = null;
    if (timer.event.owner !== null) timer.event.owner.timers--;
  };
  const replaced = {
    setTimeout: start,
    clearTimeout: end,
    setImmediate: (act: (...args: unknown[]) => void, ...args: unknown[]) => start(act, 0, ...args),
    clearImmediate: end,
    setInterval: () => {
      throw new Error("the simulation has no intervals");
    },
  };
  Object.assign(globalThis, replaced);
  performance.now = virtualNow;
  Date.now = () => EPOCH_MS + Math.floor(now);
  Math.random = () => random.next();
  AbortSignal.any = anyOf;
}
