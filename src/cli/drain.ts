import { type Clock, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { runLoops } from "../base/loops.ts";
import { type LoadedConfig, readConfig } from "../config/load.ts";
import { COUNT_MOST, counted } from "../ops/database-status.ts";
import type { Health } from "../ops/health.ts";
import { openLogger } from "../ops/logger.ts";
import { areAllPaused, readRemaining, type Remaining } from "../ops/remaining.ts";
import { tablesProblem } from "../pg/await-schema.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { PUBLICATIONS } from "../pg/own-publications.ts";
import { dropPublications, dropSlot, readSlotsLeft, slotsLeftLines } from "../uninstall/slots.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { leftText, Progress, TimeLeft } from "./progress.ts";
import { run } from "./run.ts";

/** Interval at which the outbox is read, in milliseconds. */
const LOOK_EVERY_MS = 1_000;
/** How soon the slot is free after the session that used it, in milliseconds. */
const SLOT_WAIT_MS = 5_000;

/** Options of `pgnetd drain`. */
export interface DrainFlags extends ConfigFlag {
  readonly dueOnly?: boolean;
  readonly dropSlot?: boolean;
  readonly dropPublications?: boolean;
  readonly json?: boolean;
}

/** `pgnetd drain`: sends until nothing waits, then ends; throws NOT_DONE where it was asked to end before. */
export async function drain(flags: DrainFlags, context: CommandContext): Promise<void> {
  const { env, print } = context;
  const load = (): LoadedConfig => asDrain(readConfig({ env, file: flags.config }));
  const { database, slot } = load().config;
  await using db = openPool({ ...database, size: 1 });
  const problem = await tablesProblem(db);
  if (problem !== null) throw problem;
  const isJson = flags.json === true;
  const isEmptied = await sendAll({ db, load, dueOnly: flags.dueOnly === true, isJson }, context);
  if (!isEmptied) {
    const left = await readRemaining(db, null).catch(() => null);
    if (isJson) print(JSON.stringify({ state: "ended", ...figuresOf(left) }));
    throw unfinished(left);
  }
  const say = (line: string): void => (isJson ? undefined : print(line));
  const left = await readRemaining(db, null);
  say(isEmpty(left, false) ? "drained: the outbox is empty" : `drained; left in the outbox: ${described(left)}`);
  const wanted = { name: slot.name, waitMs: SLOT_WAIT_MS, clock: systemClock };
  const dropped = flags.dropSlot === true ? await dropSlot(db, wanted) : null;
  const slotsLeft = flags.dropSlot === true ? await readSlotsLeft(db, dropped) : [];
  if (flags.dropSlot === true) {
    say(dropped === null ? "there is no replication slot to drop" : `replication slot ${dropped} is dropped`);
    for (const line of slotsLeftLines(slotsLeft)) say(line);
  }
  const publications = (flags.dropPublications === true ? await dropPublications(db) : []).map(publicationOf);
  for (const { name, make } of publications) say(`publication ${name} is dropped; to have it again: ${make};`);
  if (isJson) print(JSON.stringify({ state: "drained", ...figuresOf(left), slot: dropped, slotsLeft, publications }));
}

/** A publication, and the statement that makes it. */
interface Publication {
  readonly name: string;
  readonly make: string;
}

function publicationOf(name: string): Publication {
  return { name, make: PUBLICATIONS.find((one) => one.name === name)?.make ?? "" };
}

interface Draining {
  readonly db: Queryable;
  readonly load: () => LoadedConfig;
  readonly dueOnly: boolean;
  readonly isJson: boolean;
}

/** Runs a daemon until nothing waits; false where it was asked to end before. */
async function sendAll({ db, load, dueOnly, isJson }: Draining, context: CommandContext): Promise<boolean> {
  // Connecting takes a moment, and is no news.
  using shown = new Progress(isJson ? { print: context.print } : context, systemClock, UNKNOWN);
  const watch = new OutboxWatch({ db, clock: systemClock, progress: shown, dueOnly, isJson });
  await runLoops(context.stop, [
    async (signal) => run({ load, log: await openDrainLog(load()), stop: signal, watched: (now) => watch.look(now) }),
    (signal) => watch.untilEmpty(signal),
  ]);
  return watch.isEmptied;
}

function unfinished(left: Remaining | null): PgnetdError {
  const what = left === null ? "" : `: ${described(left)}`;
  return new PgnetdError("NOT_DONE", `ended before the outbox was empty${what}`, {
    hint: "What is left waits in the outbox; pgnetd drain or pgnetd run goes on with it.",
  });
}

/** Beside a daemon that still runs here, its port is in use; and a drain leaves the schema as it is. */
function asDrain({ config, sources }: LoadedConfig): LoadedConfig {
  return { sources, config: { ...config, server: { host: "127.0.0.1", port: 0 }, migrate: { atStart: false } } };
}

/** What goes wrong, on standard error; the progress takes the place of the rest. */
async function openDrainLog({ config }: LoadedConfig): Promise<Log> {
  const { level } = config.log;
  return openLogger({ level: level === "info" ? "warn" : level, to: process.stderr });
}

/** Nothing is known of the outbox, or of the daemon. */
const UNKNOWN = "unknown";

/** What the watch of the outbox needs. */
interface Watching {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly dueOnly: boolean;
  readonly isJson: boolean;
}

/** Reads the outbox while it is drained, and reports progress. */
class OutboxWatch {
  readonly #given: Watching;
  readonly #timeLeft = new TimeLeft();
  #health: (() => Health) | null = null;
  #isEmptied = false;

  constructor(given: Watching) {
    this.#given = given;
  }

  /** True once nothing waited any more while this daemon led. */
  get isEmptied(): boolean {
    return this.#isEmptied;
  }

  /** Takes over where to ask for the daemon's health. */
  look(health: () => Health): void {
    this.#health = health;
  }

  /** Resolves when nothing waits any more, and this daemon is the one that sends. */
  async untilEmpty(signal: AbortSignal): Promise<void> {
    const { db, clock, progress, dueOnly, isJson } = this.#given;
    let before: Remaining | null = null;
    while (!signal.aborted) {
      const health = this.#health?.() ?? null;
      const left: Remaining | null = await readRemaining(db, before).catch(() => null);
      if (signal.aborted) return;
      this.#isEmptied = isLeading(health) && left !== null && isEmpty(left, dueOnly);
      if (!this.#isEmptied && dueOnly && left !== null && isIdle(health)) {
        this.#isEmptied = await areAllPaused(db, left).catch(() => false);
      }
      if (this.#isEmptied) return;
      const news = newsOf({ health, left, timeLeftMs: this.#estimate(left), dueOnly });
      if (progress.report(news.state, isJson ? JSON.stringify(news) : news.detail) && left !== null) before = left;
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** Of a count that ended at its bound nothing is known. */
  #estimate(left: Remaining | null): number | null {
    return left === null || left.due >= COUNT_MOST ? null : this.#timeLeft.after(this.#given.clock.now(), left.due);
  }
}

function isLeading(health: Health | null): boolean {
  return health !== null && ["polling", "catch-up", "live"].includes(health.state);
}

/** It leads, and has nothing to do: what is due waits for hosts that are paused, or was committed just now. */
function isIdle(health: Health | null): boolean {
  return isLeading(health) && health?.requests.queued === 0 && health.requests.inFlight === 0;
}

function isEmpty({ due, later }: Remaining, dueOnly: boolean): boolean {
  return due === 0 && (dueOnly || later === 0);
}

/** What is left, as figures. */
type Figures = Pick<Remaining, "due" | "later" | "nextDue" | "pausedHosts">;

function figuresOf(left: Remaining | null): Figures | Readonly<Record<string, never>> {
  if (left === null) return {};
  const { due, later, nextDue, pausedHosts } = left;
  return { due, later, nextDue, pausedHosts };
}

/** One report of progress: `state` says what kind of news it is, `detail` all of it in words. */
interface News extends Partial<Figures> {
  readonly state: string;
  readonly detail: string;
  readonly inFlight?: number | undefined;
  readonly answeredPerSecond?: number | null | undefined;
  readonly secondsLeft?: number | null | undefined;
}

/** What is known while the outbox is drained. */
interface Known {
  readonly health: Health | null;
  readonly left: Remaining | null;
  readonly timeLeftMs: number | null;
  readonly dueOnly: boolean;
}

function newsOf(known: Known): News {
  const { health, left, timeLeftMs } = known;
  const [state, detail] = wordsOf(known);
  return {
    state,
    detail,
    ...figuresOf(left),
    inFlight: health?.requests.inFlight,
    answeredPerSecond: left?.answeredPerSecond,
    secondsLeft: timeLeftMs === null ? null : Math.ceil(timeLeftMs / 1_000),
  };
}

function wordsOf({ health, left, timeLeftMs, dueOnly }: Known): readonly [state: string, detail: string] {
  if (left === null || health === null) return [UNKNOWN, "the database does not answer; trying again"];
  if (!isLeading(health)) {
    if (!health.ready) return ["waiting", health.detail];
    return ["standby", "another pgnetd leads this database: stop it, and this drain goes on by itself"];
  }
  if (left.due === 0) {
    return ["leading", `only requests for a later time are left: ${described(left)}; --due-only ends without them`];
  }
  if (!dueOnly && left.pausedHosts.length > 0 && isIdle(health)) {
    return ["leading", `${described(left)}; --due-only does not wait for paused hosts`];
  }
  const speed = left.answeredPerSecond === null ? "" : `, ${left.answeredPerSecond.toFixed(1)} answered per second`;
  return ["leading", `${described(left)}; ${health.requests.inFlight} in flight${speed}${leftText(timeLeftMs)}`];
}

function described({ due, later, nextDue, pausedHosts }: Remaining): string {
  const parts = [`${counted(due)} due`];
  if (later > 0) parts.push(`${counted(later)} for a later time, the first at ${nextDue ?? "?"}`);
  if (pausedHosts.length > 0) parts.push(`paused hosts: ${pausedHosts.join(", ")}`);
  return parts.join(", ");
}
