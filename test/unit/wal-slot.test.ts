import { describe, expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { assertPublished } from "../../src/wal/publication-check.ts";
import {
  createSlot,
  decideSlot,
  defaultSlotName,
  readSlot,
  selectSlot,
  type SlotRow,
  startReplication,
} from "../../src/slot/slot.ts";

const wanted = { name: "pgnetd_app", plugin: "pgoutput", temporary: false, failover: false };
const found: SlotRow = {
  plugin: "pgoutput",
  database: "app",
  temporary: false,
  activePid: null,
  walStatus: "reserved",
  confirmed: lsn(7n),
};
const here = { database: "app", renew: false };

describe("the slot that is found", () => {
  test.each([
    ["none", null, wanted, here, "create"],
    ["as it should be", found, wanted, here, "use"],
    ["behind, but its WAL is there", { ...found, walStatus: "unreserved" }, wanted, here, "use"],
    ["read by another process", { ...found, activePid: 7 }, wanted, here, "refuse"],
    ["invalidated", { ...found, walStatus: "lost" }, wanted, here, "recreate"],
    ["of another plugin", { ...found, plugin: "wal2json" }, wanted, here, "recreate"],
    ["unreadable", found, wanted, { ...here, renew: true }, "recreate"],
    ["permanent where it should be temporary", found, { ...wanted, temporary: true }, here, "recreate"],
    ["of another database", { ...found, database: "other" }, wanted, { ...here, renew: true }, "refuse"],
    ["a physical one", { ...found, plugin: null, database: null }, wanted, here, "refuse"],
  ] as const)("%s", (_name, slot, options, situation, kind) => {
    expect(decideSlot(slot, options, situation).kind).toBe(kind);
  });

  test("is read as the server shows it", () => {
    const row = { plugin: "pgoutput", database: "app", temporary: false, active_pid: 12, wal_status: "lost" };
    expect(readSlot({ ...row, confirmed: "0/10" })).toEqual({
      ...found,
      activePid: 12,
      walStatus: "lost",
      confirmed: 16n,
    });
    expect(readSlot({ ...row, confirmed: null, active_pid: null, wal_status: null })).toMatchObject({
      confirmed: 0n,
      activePid: null,
      walStatus: null,
    });
    expect(readSlot(undefined)).toBeNull();
  });
});

test("a slot's name has the characters and the length that PostgreSQL takes", () => {
  expect(defaultSlotName("app")).toBe("pgnetd_app");
  expect(defaultSlotName("My-App ü")).toBe("pgnetd_my_app__");
  expect(defaultSlotName("x".repeat(63))).toHaveLength(63);
});

test("the commands are PostgreSQL's", () => {
  expect(createSlot(wanted)).toBe('CREATE_REPLICATION_SLOT "pgnetd_app" LOGICAL pgoutput NOEXPORT_SNAPSHOT');
  expect(createSlot({ ...wanted, temporary: true })).toBe(
    'CREATE_REPLICATION_SLOT "pgnetd_app" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT',
  );
  expect(createSlot({ ...wanted, failover: true })).toBe(
    `CREATE_REPLICATION_SLOT "pgnetd_app" LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER true)`,
  );
  expect(startReplication("pgnetd_app", lsn(0x1_0000_0010n), ["a '1'", "b '2'"])).toBe(
    `START_REPLICATION SLOT "pgnetd_app" LOGICAL 1/10 (a '1', b '2')`,
  );
  expect(selectSlot("pgnetd_app")).toContain("slot_name = 'pgnetd_app'");
});

describe("publications", () => {
  const publication = (version: string): Record<string, unknown> => ({
    name: "pgnetd_outbox",
    there: true,
    whole: true,
    version,
  });

  test("that publish what they should are no matter", () => {
    expect(assertPublished([publication("1/2/3/4"), publication("5/6/7/8")])).toBe("1/2/3/4 5/6/7/8");
  });

  test("that are missing or altered are named, with the statement that mends it", () => {
    expect(() => assertPublished([{ ...publication("//"), there: false, whole: false }])).toThrow(
      expect.objectContaining({
        code: "STREAM_UNAVAILABLE",
        message: 'publication "pgnetd_outbox" does not exist',
        hint: "Make it: create publication pgnetd_outbox for table net.http_request_queue with (publish = 'insert, truncate');",
      }),
    );
    expect(() =>
      assertPublished([publication("1"), { ...publication("2"), name: "pgnetd_settings", whole: false }]),
    ).toThrow(
      expect.objectContaining({
        hint: expect.stringContaining(
          "drop publication pgnetd_settings; create publication pgnetd_settings ",
        ) as string,
      }),
    );
  });
});
