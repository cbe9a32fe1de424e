import { expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { slotHealth, type SlotState } from "../../src/slot/health.ts";
import { slotReading } from "../../src/slot/reading.ts";

const OURS: SlotState = {
  isOurs: true,
  walStatus: "reserved",
  retainedWalBytes: 100,
  safeWalBytes: null,
  confirmed: lsn(1n),
};

test.each([
  ["none", null, "missing"],
  ["one without a limit, whatever it retains", { ...OURS, retainedWalBytes: 1e12 }, "ok"],
  ["one of another database", { ...OURS, isOurs: false, walStatus: "lost" }, "unknown"],
  ["an invalidated one", { ...OURS, walStatus: "lost", confirmed: null }, "lost"],
  ["one that waits for transactions", { ...OURS, walStatus: "unreserved", confirmed: null }, "creating"],
  ["one whose WAL may be removed", { ...OURS, walStatus: "unreserved" }, "at_risk"],
  ["one with a quarter of its allowance left", { ...OURS, retainedWalBytes: 300, safeWalBytes: 100 }, "ok"],
  ["one with less than that", { ...OURS, retainedWalBytes: 301, safeWalBytes: 100 }, "at_risk"],
] as const)("P4: of slots %s is %s", (_what, slot, health) => {
  expect(slotHealth(slot)).toBe(health);
});

const ROW = { found: true, ours: true, wal_status: "reserved", safe: 500, confirmed: "0/10", retained: 100 };

test("the server's row of a slot is read", () => {
  expect(slotReading(ROW)).toEqual({ health: "ok", retainedWalBytes: 100, safeWalBytes: 500, confirmed: 16n });
  expect(slotReading({ ...ROW, ours: null }).health).toBe("unknown");
  expect(slotReading({ ...ROW, retained: null, safe: 1 })).toMatchObject({ health: "ok", retainedWalBytes: null });
  expect(slotReading({ ...ROW, retained: 4, safe: 1 }).health).toBe("at_risk");
});

test("without a slot nothing is known of one", () => {
  const nothing = { found: false, ours: null, wal_status: null, safe: null, confirmed: null, retained: null };
  expect(slotReading(nothing)).toEqual({
    health: "missing",
    retainedWalBytes: null,
    safeWalBytes: null,
    confirmed: null,
  });
});
