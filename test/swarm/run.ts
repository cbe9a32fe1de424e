import { setTimeout as delay } from "node:timers/promises";
import { type Books, readBooks } from "./books.ts";
import { Callers } from "./callers.ts";
import { draw, type Plan } from "./draw.ts";
import { inflict } from "./faults.ts";
import { type Harm, judgeBooks } from "./judge.ts";
import { type Journal, now } from "./journal.ts";
import { judgeLimits } from "./limits.ts";
import { settle } from "./settle.ts";
import { StallWatch } from "./stalls.ts";
import type { Step } from "./steps.ts";
import { openWorld, someLive, type World } from "./world.ts";

/** What one run came to. */
export interface RunResult {
  readonly plan: Plan;
  readonly version: string;
  readonly harms: readonly Harm[];
  readonly books: Books;
  readonly journal: Journal;
  /** Daemon logs, and the server's log at last. */
  readonly logs: readonly string[];
  readonly arrivals: number;
  readonly peakMb: number;
  readonly seconds: number;
}

/** Calls that were asked for end within this time after the last step, in milliseconds. */
const CALLS_MS = 40_000;

/** Draws the plan of `seed`, carries it out, and compares the books. */
export async function runOnce(seed: number): Promise<RunResult> {
  await using world = await openWorld(draw(seed));
  using watch = new StallWatch();
  await using callers = new Callers(world);
  const { plan, journal, destinations, daemons, db } = world;
  const harms = await goLive(world);
  if (harms.length === 0) harms.push(...(await carryOut(world, callers)));
  harms.push(...(await settle(world, callers)), ...callers.failures);
  const { arrivals } = destinations;
  const { spans } = journal;
  const { hostChanges, transactions } = callers;
  harms.push(...judgeLimits({ plan, arrivals, spans, hostChanges, stalls: watch.stalls }));
  const books = await readBooks(db, arrivals, transactions);
  return {
    plan,
    version: world.version,
    harms: [...harms.map((what) => ({ what, account: null })), ...judgeBooks({ plan, books, spans })],
    books,
    journal,
    logs: [...daemons.map((daemon) => daemon.log()), await db.server.log()],
    arrivals: arrivals.length,
    peakMb: Math.max(...daemons.map(({ peakMb }) => peakMb)),
    seconds: (now() - journal.startedAt) / 1_000,
  };
}

/** Nothing has gone wrong yet: a daemon streams soon. */
async function goLive({ daemons }: World): Promise<string[]> {
  return someLive(daemons).then(
    () => [],
    () => ["no daemon streams at the beginning"],
  );
}

/** Every step at its time; resolves when all of them have ended, and the faults with them. */
async function carryOut(world: World, callers: Callers): Promise<readonly string[]> {
  const begunAt = now();
  world.journal.say("the steps begin");
  const perform = async (step: Step): Promise<void> => {
    await delay(Math.max(0, begunAt + step.atMs - now()));
    if (step.is === "fault") return inflict(world, step.fault);
    world.journal.say(step.call.kind);
    return callers.perform(step.call);
  };
  const faults = Promise.all(world.plan.steps.filter(({ is }) => is === "fault").map(perform));
  const calls = Promise.all(world.plan.steps.filter(({ is }) => is === "call").map(perform));
  await faults;
  const lastMs = world.plan.steps.at(-1)?.atMs ?? 0;
  const timer = new AbortController();
  const late = delay(lastMs + CALLS_MS, "late", { signal: timer.signal }).catch(() => "ended");
  const ended = await Promise.race([calls.then(() => "ended"), late]);
  timer.abort();
  world.journal.say("the steps have ended");
  return ended === "late" ? ["P9: a caller still waits"] : [];
}
