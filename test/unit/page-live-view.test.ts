import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { readConfig } from "../../src/config/load.ts";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import type { Sample } from "../../src/metrics/sample.ts";
import { COLUMNS, STEP_MS } from "../../src/page/history.ts";
import { LiveView } from "../../src/page/live-view.ts";

const HOUR_MS = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

test("P8: while nobody watches the database is asked for nothing, and while somebody does at a steady pace", async () => {
  const { page } = readConfig({ env: { DATABASE_URL: "postgresql://db/app" } }).config;
  const asked = { sample: 0, tables: 0 };
  const away = async (what: keyof typeof asked): Promise<never> => {
    asked[what]++;
    throw new Error("the database is away");
  };
  const db = { query: () => away("tables") };
  const meters = { database: "app", requests: new RequestMeter(0), heartbeats: new HeartbeatMeter() };
  const health = (): never => {
    throw new Error("the daemon has not begun");
  };
  using live = new LiveView({
    settings: () => page,
    source: () => ({ health, sample: () => away("sample"), meters, db }),
    db,
  });
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(asked).toEqual({ sample: 0, tables: 0 });
  const watchers = [1, 2, 3].map(() => new ServerResponse(new IncomingMessage(new Socket())));
  for (const watcher of watchers) live.watch(watcher, {});
  await vi.advanceTimersByTimeAsync(60_500);
  // However many watch: each second, and every five seconds.
  expect(asked).toEqual({ sample: 61, tables: 13 });
  for (const watcher of watchers) watcher.emit("close");
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(asked).toEqual({ sample: 61, tables: 13 });
});

/** A sample of an outbox with so many rows. */
function sampleOf(outboxRows: number, meters: Sample["meters"]): Sample {
  const slot = {
    health: "ok",
    isActive: true,
    retainedWalBytes: 1_000,
    confirmed: lsn(1n),
    safeWalBytes: null,
    inactiveSince: null,
    invalidationReason: null,
    isSynced: false,
  } as const;
  const rows = { outboxRows, deferredRows: 0, deadLetters: 0, oldestDueSeconds: 1, hostsPaused: 0 };
  return {
    meters,
    limits: { inFlight: 1, memoryRequests: 1, memoryBytes: 1, answerBytes: 1, perSecond: "unlimited" },
    isReady: true,
    state: null,
    load: null,
    answerBytes: 0,
    isUp: true,
    server: { current: lsn(1n), slot },
    database: { current: lsn(1n), slot, ...rows },
    slotSecondsToLimit: null,
    heartbeatPendingMs: 0,
  };
}

/** A watcher of `live`, and the first event of `name` that it is sent. */
function watch(live: LiveView, name: string): { readonly watcher: ServerResponse; readonly data: string | undefined } {
  const watcher = new ServerResponse(new IncomingMessage(new Socket()));
  const write = vi.spyOn(watcher, "write");
  live.watch(watcher, {});
  const text = write.mock.calls.map(([chunk]) => String(chunk)).join("");
  return { watcher, data: new RegExp(`^event: ${name}\\ndata: (.*)$`, "m").exec(text)?.[1] };
}

test("the last hour has what the database said only for the time in which somebody watched", async () => {
  const { page } = readConfig({ env: { DATABASE_URL: "postgresql://db/app" } }).config;
  const meters = { database: "app", requests: new RequestMeter(0), heartbeats: new HeartbeatMeter() };
  const db = { query: () => Promise.reject(new Error("the database is away")) };
  const health = (): never => {
    throw new Error("the daemon has not begun");
  };
  const source = { health, sample: () => Promise.resolve(sampleOf(7, meters)), meters, db };
  using live = new LiveView({ settings: () => page, source: () => source, db });
  await vi.advanceTimersByTimeAsync(2 * STEP_MS);
  const { watcher } = watch(live, "history");
  await vi.advanceTimersByTimeAsync(2 * STEP_MS);
  watcher.emit("close");
  await vi.advanceTimersByTimeAsync(2 * STEP_MS);
  const { points } = JSON.parse(watch(live, "history").data ?? "null") as { points: (number | null)[][] };
  const rows = points.map((point) => point[COLUMNS.indexOf("outboxRows")]);
  expect(rows).toEqual([null, null, 7, 7, null, null]);
});

test("after an action the tables are read again as soon as the reading under way has ended", async () => {
  const { page } = readConfig({ env: { DATABASE_URL: "postgresql://db/app" } }).config;
  let readings = 0;
  let end = (): void => undefined;
  const db = {
    query: () => {
      readings++;
      return new Promise<never>((_, reject) => {
        end = () => reject(new Error("the database is away"));
      });
    },
  };
  const away = (): never => {
    throw new Error("the daemon has not begun");
  };
  const meters = { database: "app", requests: new RequestMeter(0), heartbeats: new HeartbeatMeter() };
  using live = new LiveView({
    settings: () => page,
    source: () => ({ health: away, sample: async () => away(), meters, db }),
    db,
  });
  live.watch(new ServerResponse(new IncomingMessage(new Socket())), {});
  await vi.advanceTimersByTimeAsync(2_000);
  const before = readings;
  live.refresh();
  end();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(readings).toBeGreaterThan(before);
});
