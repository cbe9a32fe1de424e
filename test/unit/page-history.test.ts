import { expect, it } from "vitest";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import { Distribution } from "../../src/metrics/distribution.ts";
import { COLUMNS, History, type Point } from "../../src/page/history.ts";
import { quantile } from "../../src/page/quantile.ts";

function columnOf(point: Point | null, name: (typeof COLUMNS)[number]): number | null | undefined {
  return point?.[COLUMNS.indexOf(name)];
}

it("a point has rates of the time since the one before", () => {
  const history = new History();
  const meter = new RequestMeter(0);
  meter.startedCount = 100;
  expect(history.record(meter, null, 0)).toBeNull();
  meter.startedCount = 150;
  meter.endedBy.set("2xx", 20);
  meter.endedBy.set("dns", 5);
  meter.endedBy.set("timeout", 10);
  const point = history.record(meter, null, 5_000);
  expect(columnOf(point, "at")).toBe(5);
  expect(columnOf(point, "started")).toBe(10);
  expect(columnOf(point, "2xx")).toBe(4);
  expect(columnOf(point, "failed")).toBe(3);
  expect(columnOf(point, "median")).toBeNull();
  expect(columnOf(point, "outboxRows")).toBeNull();
});

it("what failed in the last minute is what had no answer, or a status from 500 on", () => {
  const history = new History();
  const meter = new RequestMeter(0);
  expect(history.lastMinute).toEqual({ ended: 0, failed: 0 });
  meter.endedBy.set("connect", 1_000);
  history.record(meter, null, 0);
  for (let at = 5_000; at <= 600_000; at += 5_000) {
    meter.endedBy.set("2xx", (meter.endedBy.get("2xx") ?? 0) + 3);
    meter.endedBy.set("4xx", (meter.endedBy.get("4xx") ?? 0) + 1);
    meter.endedBy.set("5xx", (meter.endedBy.get("5xx") ?? 0) + 1);
    meter.endedBy.set("dns", (meter.endedBy.get("dns") ?? 0) + 2);
    history.record(meter, null, at);
  }
  expect(history.lastMinute).toEqual({ ended: 12 * 7, failed: 12 * 3 });
});

it("another database begins with no point, and never with a negative rate", () => {
  const history = new History();
  const before = new RequestMeter(0);
  before.startedCount = 1_000;
  history.record(before, null, 0);
  const meter = new RequestMeter(0);
  expect(history.record(meter, null, 5_000)).toBeNull();
  meter.startedCount = 5;
  expect(columnOf(history.record(meter, null, 10_000), "started")).toBe(1);
});

it("P5: an hour is kept, and no more", () => {
  const history = new History();
  const meter = new RequestMeter(0);
  for (let at = 0; at <= 2_000 * 5_000; at += 5_000) history.record(meter, null, at);
  expect(history.points).toHaveLength(720);
  expect(columnOf(history.points.at(-1) ?? null, "at")).toBe(10_000);
});

it("a quantile is of what was observed between two readings alone", () => {
  const latency = new Distribution([1, 2, 4]);
  for (let count = 0; count < 50; count++) latency.observe(4);
  const before = latency.cumulative;
  expect(quantile(0.5, before, latency.cumulative)).toBeNull();
  for (let count = 0; count < 10; count++) latency.observe(1.5);
  expect(quantile(0.5, before, latency.cumulative)).toBe(1.5);
  expect(quantile(1, before, latency.cumulative)).toBe(2);
  latency.observe(100);
  expect(quantile(1, before, latency.cumulative)).toBe(4);
});
