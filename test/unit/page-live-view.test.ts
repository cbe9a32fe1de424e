import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readConfig } from "../../src/config/load.ts";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
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
