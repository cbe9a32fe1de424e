import { type Clock, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { runLoops } from "../base/loops.ts";
import { type LoadedConfig, readConfig } from "../config/load.ts";
import { COUNT_MOST, counted } from "../ops/database-status.ts";
import type { Health } from "../ops/health.ts";
import { openLogger } from "../ops/logger.ts";
import { readRemaining, type Remaining } from "../ops/remaining.ts";
import { schemaProblem } from "../pg/await-schema.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { PUBLICATIONS } from "../pg/own-publications.ts";
import { dropPublications, dropSlot } from "../uninstall/slots.ts";
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
}

/** `pgnetd drain`: sends until nothing waits, then ends; throws NOT_DONE where it was asked to end before. */
export async function drain(flags: DrainFlags, context: CommandContext): Promise<void> {
  const { env, print } = context;
  const load = (): LoadedConfig => asDrain(readConfig({ env, file: flags.config }));
  const { database, slot } = load().config;
  await using db = openPool({ ...database, size: 1 });
  const problem = await schemaProblem(db);
  if (problem !== null) throw problem;
  const isEmptied = await sendAll({ db, load, dueOnly: flags.dueOnly === true }, context);
  if (!isEmptied) throw await unfinished(db);
  const left = await readRemaining(db, null);
  print(isEmpty(left, false) ? "drained: the outbox is empty" : `drained; left in the outbox: ${described(left)}`);
  if (flags.dropSlot === true) {
    const dropped = await dropSlot(db, { name: slot.name, waitMs: SLOT_WAIT_MS, clock: systemClock });
    print(dropped === null ? "there is no replication slot to drop" : `replication slot ${dropped} is dropped`);
  }
  if (flags.dropPublications === true) {
    for (const name of await dropPublications(db)) {
      const again = PUBLICATIONS.find((one) => one.name === name)?.make ?? "";
      print(`publication ${name} is dropped; to have it again: ${again};`);
    }
  }
}

interface Draining {
  readonly db: Queryable;
  readonly load: () => LoadedConfig;
  readonly dueOnly: boolean;
}

/** Runs a daemon until nothing waits; false where it was asked to end before. */
async function sendAll({ db, load, dueOnly }: Draining, context: CommandContext): Promise<boolean> {
  // Connecting takes a moment, and is no news.
  using shown = new Progress(context, systemClock, UNKNOWN);
  const watch = new OutboxWatch(db, systemClock, shown, dueOnly);
  await runLoops(context.stop, [
    async (signal) => run({ load, log: await openDrainLog(load()), stop: signal, watched: (now) => watch.look(now) }),
    (signal) => watch.untilEmpty(signal),
  ]);
  return watch.isEmptied;
}

async function unfinished(db: Queryable): Promise<PgnetdError> {
  const left = await readRemaining(db, null).catch(() => null);
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

/** Reads the outbox while it is drained, and reports progress. */
class OutboxWatch {
  readonly #db: Queryable;
  readonly #clock: Clock;
  readonly #progress: Progress;
  readonly #dueOnly: boolean;
  readonly #timeLeft = new TimeLeft();
  #health: (() => Health) | null = null;
  #isEmptied = false;

  constructor(db: Queryable, clock: Clock, progress: Progress, dueOnly: boolean) {
    this.#db = db;
    this.#clock = clock;
    this.#progress = progress;
    this.#dueOnly = dueOnly;
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
    let before: Remaining | null = null;
    while (!signal.aborted) {
      const health = this.#health?.() ?? null;
      const left: Remaining | null = await readRemaining(this.#db, before).catch(() => null);
      if (signal.aborted) return;
      this.#isEmptied = isLeading(health) && left !== null && isEmpty(left, this.#dueOnly);
      if (this.#isEmptied) return;
      const [kind, line] = progress(health, left, this.#estimate(left));
      if (this.#progress.report(kind, line) && left !== null) before = left;
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** Of a count that ended at its bound nothing is known. */
  #estimate(left: Remaining | null): number | null {
    return left === null || left.due >= COUNT_MOST ? null : this.#timeLeft.after(this.#clock.now(), left.due);
  }
}

function isLeading(health: Health | null): boolean {
  return health !== null && ["polling", "catch-up", "live"].includes(health.state);
}

function isEmpty({ due, later }: Remaining, dueOnly: boolean): boolean {
  return due === 0 && (dueOnly || later === 0);
}

/** What is reported, and what kind of news it is. */
function progress(
  health: Health | null,
  left: Remaining | null,
  timeLeftMs: number | null,
): readonly [kind: string, line: string] {
  if (left === null || health === null) return [UNKNOWN, "the database does not answer; trying again"];
  if (!isLeading(health)) {
    if (!health.ready) return ["waiting", health.detail];
    return ["standby", "another pgnetd leads this database: stop it, and this drain goes on by itself"];
  }
  if (left.due === 0) {
    return ["leading", `only requests for a later time are left: ${described(left)}; --due-only ends without them`];
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
