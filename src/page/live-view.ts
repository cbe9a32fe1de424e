import type { ServerResponse } from "node:http";

import { toError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import type { Config } from "../config/settings.ts";
import type { RequestMeter } from "../metrics/request-meter.ts";
import type { Sample } from "../metrics/sample.ts";
import type { Health } from "../ops/health.ts";
import type { Queryable } from "../pg/pool.ts";
import { type Frame, frameOf } from "./frame.ts";
import { COLUMNS, History, STEP_MS } from "./history.ts";
import { type Lists, readLists } from "./lists.ts";
import type { PageSource } from "./source.ts";
import { Watchers } from "./watchers.ts";

/** Between two frames, and between two readings of the tables, in milliseconds. */
const FRAME_MS = 1_000;
const LISTS_MS = 5_000;
/** Where the tables take long, nothing is read for so many times as long. */
const LEAST_PAUSE = 20;

/** What is watched, and whom it asks. */
export interface LiveViewOptions {
  readonly settings: () => Config["page"];
  readonly source: () => PageSource;
  readonly db: Queryable;
}

/** Keeps those who watch up to date. P8: reads counters alone while nobody does. */
export class LiveView implements Disposable {
  readonly watchers = new Watchers((count) => this.#watched(count));
  readonly #options: LiveViewOptions;
  readonly #history = new History();
  readonly #step: NodeJS.Timeout;
  #frames: NodeJS.Timeout | null = null;
  #isReadingFrame = false;
  #isReadingLists = false;
  #sample: Sample | null = null;
  #frame: Frame | null = null;
  #lists: Lists | { readonly error: string } | null = null;
  #listsNotBefore = Number.NEGATIVE_INFINITY;
  #before: { readonly meter: RequestMeter; readonly started: number; readonly at: number } | null = null;

  constructor(options: LiveViewOptions) {
    this.#options = options;
    this.#record();
    this.#step = setInterval(() => this.#record(), STEP_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#step);
    this.watchers.end();
    this.#watched(0);
  }

  /** Begins a stream of events, with all that is known. */
  watch(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
    const known = { ...(this.#frame && { frame: this.#frame }), ...(this.#lists && { lists: this.#lists }) };
    this.watchers.add(response, headers, {
      history: { columns: COLUMNS, points: this.#history.points },
      ...known,
    });
  }

  /** Something was changed: the tables are read at once. */
  refresh(): void {
    this.#listsNotBefore = Number.NEGATIVE_INFINITY;
    if (this.#frames !== null) this.#next();
  }

  #watched(count: number): void {
    if (count > 0 && this.#frames === null) {
      this.#frames = setInterval(() => this.#next(), FRAME_MS).unref();
      this.#next();
    } else if (count === 0 && this.#frames !== null) {
      clearInterval(this.#frames);
      this.#frames = this.#sample = this.#frame = this.#lists = this.#before = null;
      this.#listsNotBefore = Number.NEGATIVE_INFINITY;
    }
  }

  #record(): void {
    const point = this.#history.record(this.#options.source().meters.requests, this.#sample, Date.now());
    if (point !== null) this.watchers.send("point", point);
  }

  /** Each one at a time: a database that is slow is asked less often. */
  #next(): void {
    if (!this.#isReadingFrame) void this.#readFrame();
    if (!this.#isReadingLists && performance.now() >= this.#listsNotBefore) void this.#readLists();
  }

  async #readFrame(): Promise<void> {
    const { settings, source } = this.#options;
    this.#isReadingFrame = true;
    try {
      const { sample: take, health } = source();
      const sample = await take();
      if (this.#frames === null) return;
      this.#sample = sample;
      const startedPerSecond = this.#rate(sample.meters.requests);
      this.#frame = frameOf({
        sample,
        health: healthOf(health),
        settings: settings(),
        startedPerSecond,
        lastMinute: this.#history.lastMinute,
        at: Date.now(),
      });
      this.watchers.send("frame", this.#frame);
    } catch {
      // The daemon has not begun, or has just ended: the next frame is of another one.
    } finally {
      this.#isReadingFrame = false;
    }
  }

  #rate(meter: RequestMeter): number | null {
    const before = this.#before;
    const at = performance.now();
    const now = { meter, started: meter.startedCount, at };
    this.#before = now;
    if (before === null || before.meter !== meter) return null;
    return ((now.started - before.started) * 1_000) / Math.max(1, at - before.at);
  }

  async #readLists(): Promise<void> {
    const { db, settings } = this.#options;
    this.#isReadingLists = true;
    const began = performance.now();
    this.#listsNotBefore = began + LISTS_MS;
    const failures = this.#sample?.load?.lastFailures ?? new Map();
    const lists = await readLists(db, settings().urls, failures).catch((error: unknown) => ({
      error: redact(toError(error).message),
    }));
    const ended = performance.now();
    // What was asked for meanwhile is left as it is.
    if (this.#listsNotBefore > began)
      this.#listsNotBefore = Math.max(this.#listsNotBefore, ended + LEAST_PAUSE * (ended - began));
    this.#isReadingLists = false;
    if (this.#frames === null) return;
    this.#lists = lists;
    this.watchers.send("lists", lists);
  }
}

function healthOf(health: () => Health): Health | null {
  try {
    return health();
  } catch {
    return null;
  }
}
