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
/** Events in the queue, at most, that were called off. */
let calledOff = 0;
const LEAST_CALLED_OFF = 64;
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
  return () => callOff(event);
}

function add(ms: number, owner: Process | null, act: () => void, isTimer: boolean): Event {
  count++;
  const event = { at: now + Math.max(0, ms), order: count, owner, isTimer, act };
  queue.push(event);
  if (isTimer && owner !== null) owner.timers++;
  return event;
}

/** Timers are mostly called off, and long before their time: the queue is made anew when it consists mostly of these. */
function callOff(event: Event): void {
  if (event.act === null) return;
  event.act = null;
  calledOff++;
  if (calledOff < LEAST_CALLED_OFF || calledOff < queue.length / 2) return;
  queue = new TinyQueue<Event>(
    queue.data.filter(({ act }) => act !== null),
    compare,
  );
  calledOff = 0;
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
  calledOff = 0;
  now = 0;
  count = 0;
  current = null;
}

/** What `runTime` has been asked for. */
interface Run {
  readonly until: number;
  readonly isDone: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

let run: Run | null = null;
/** Turns of the event loop's present round that are left for `runTime`. */
let turns = 0;

/**
 * As many turns are asked for at once: between two of them Node runs all promises, as after any callback, but it looks for input and
 * output only after the last, of which the simulation has none.
 */
const TURNS = 64;

/** Lets everything happen until `until`, or until `isDone` after some event. */
export function runTime(until: number, isDone: () => boolean = () => false): Promise<void> {
  return new Promise((resolve, reject) => {
    run = { until, isDone, resolve, reject };
    askForTurns();
  });
}

function askForTurns(): void {
  if (turns > 0) return;
  turns = TURNS;
  for (let index = 0; index < TURNS; index++) real.setImmediate(turn);
}

function turn(): void {
  turns--;
  if (run === null) return;
  try {
    if (goOn(run)) return askForTurns();
    run.resolve();
  } catch (error) {
    run.reject(error);
  }
  run = null;
}

/** Lets events happen up to the first of a process: what follows from that comes before the next one. False at the end. */
function goOn({ until, isDone }: Run): boolean {
  if (current !== null) {
    current = null;
    if (isDone()) return false;
  }
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
    if (owner !== null && !owner.isDead) {
      begin(owner, event);
      return true;
    }
    if (owner === null) event.act();
    if (isDone()) return false;
  }
  now = Math.max(now, until);
  return false;
}

/** One turn of a process: all promises that follow from it are its own, too. */
function begin(owner: Process, event: Event): void {
  current = owner;
  if (event.isTimer) owner.timers--;
  const { act } = event;
  event.act = null;
  act?.();
}

/** Lets all promises run that can. */
export function promises(): Promise<void> {
  return new Promise((resolve) => {
    real.setImmediate(resolve);
  });
}

/**
 * As `AbortSignal.any`, whose signals Node holds until they fire, and so are listeners with a signal of their own: those of a daemon
 * that is killed never do.
 */
function anyOf(signals: Iterable<AbortSignal>): AbortSignal {
  const any = new AbortController();
  const sources = [...signals];
  const fired = sources.find(({ aborted }) => aborted);
  if (fired !== undefined) any.abort(fired.reason);
  else {
    const fire = (event: globalThis.Event): void => {
      for (const source of sources) source.removeEventListener("abort", fire);
      any.abort((event.target as AbortSignal).reason);
    };
    for (const source of sources) source.addEventListener("abort", fire);
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
    callOff(timer.event);
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
