import { describe, expect, it } from "vitest";
import {
  bytes,
  databaseUrl,
  flag,
  host,
  integer,
  type Kind,
  lifetime,
  networks,
  oneOf,
  rate,
  slotName,
} from "../../src/config/values.ts";

interface Case {
  readonly kind: Kind<unknown>;
  readonly right: readonly (readonly [given: unknown, value: unknown])[];
  readonly wrong: readonly unknown[];
}

const KINDS: Readonly<Record<string, Case>> = {
  integer: {
    kind: integer(2, 10),
    right: [
      [2, 2],
      ["10", 10],
      [" 7 ", 7],
    ],
    wrong: [1, 11, "1", "11", 2.5, "2.5", "1e1", "0x5", "", "-3", "five", true, null, [], {}, Number.NaN],
  },
  flag: {
    kind: flag(),
    right: [
      [true, true],
      [false, false],
      ["TRUE", true],
      ["on", true],
      ["yes", true],
      ["1", true],
      [1, true],
      ["off", false],
      ["no", false],
      ["0", false],
    ],
    wrong: ["", "maybe", 2, null, []],
  },
  oneOf: { kind: oneOf(["a", "b"]), right: [["a", "a"]], wrong: ["A", "c", "", 1, null, ["a"]] },
  host: {
    kind: host(),
    right: [
      [" 127.0.0.1 ", "127.0.0.1"],
      ["::1", "::1"],
      ["fe80::1%eth0", "fe80::1%eth0"],
      ["my_host.internal", "my_host.internal"],
    ],
    wrong: ["", "  ", 1, null, [], "http://localhost", "a b", "u:secret@h"],
  },
  slotName: {
    kind: slotName(),
    right: [
      [null, null],
      ["pgnetd_app1", "pgnetd_app1"],
      ["a".repeat(63), "a".repeat(63)],
    ],
    wrong: ["", "Upper", "a-b", "a".repeat(64), 1],
  },
  databaseUrl: {
    kind: databaseUrl(),
    right: [
      ["postgres://u:p@h:5432/d", "postgres://u:p@h:5432/d"],
      ["postgresql://h/d?sslmode=require", "postgresql://h/d?sslmode=require"],
      ["postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"],
    ],
    wrong: [
      "mysql://h/d",
      "h:5432",
      "postgres:d",
      "postgres://u:a#b@h/d",
      "postgres://u:a%b@h/d",
      "postgres://h:99999/",
      1,
      "",
    ],
  },
  rate: {
    kind: rate(100_000),
    right: [
      ["unlimited", "unlimited"],
      ["0.5", 0.5],
      [100_000, 100_000],
      ["200", 200],
    ],
    wrong: [0, "0", -1, 100_001, "fast", "", null, Number.POSITIVE_INFINITY, "Infinity"],
  },
  bytes: {
    kind: bytes(1024, 1024 ** 3),
    right: [
      [2048, 2048],
      ["1024", 1024],
      ["64MiB", 64 * 1024 ** 2],
      ["64MB", 64 * 1024 ** 2],
      ["64 mb", 64 * 1024 ** 2],
      ["1.5kB", 1536],
      ["1GiB", 1024 ** 3],
      ["4096B", 4096],
    ],
    wrong: [1023, "1023", "2GiB", "64 M", "64TB", "MiB", "-1MB", "", null, true],
  },
  lifetime: {
    kind: lifetime(10 * 86_400),
    right: [
      ["never", "never"],
      ["6 hours", 21_600],
      ["30 minutes", 1800],
      ["1 hour", 3600],
      ["90s", 90],
      ["1.5h", 5400],
      ["10 days", 864_000],
      ["45", 45],
      [3600, 3600],
    ],
    wrong: [0, "0", "11 days", "6 weeks", "-1 hour", "hours", "0.1s", "", null, "1 hour 5 minutes"],
  },
  networks: {
    kind: networks(),
    right: [
      ["", []],
      ["10.0.0.0/8, ::1", ["10.0.0.0/8", "::1/128"]],
      [
        ["127.0.0.1", "FD00::/8"],
        ["127.0.0.1/32", "fd00::/8"],
      ],
      ["0.0.0.0/0", ["0.0.0.0/0"]],
      ["private", ["private"]],
      ["Private, 127.0.0.1", ["private", "127.0.0.1/32"]],
    ],
    wrong: [
      "10.0.0.0/33",
      "::/129",
      "10.0.0/8",
      "localhost",
      "private/8",
      "privat",
      "10.0.0.0/8;::1",
      "fe80::1%eth0",
      10,
      {},
      ["10.0.0.0/8", "x"],
    ],
  },
};

/** The rule alone, or with what breaks it. */
function wholeRule(rule: string): RegExp {
  return new RegExp(`^must be ${RegExp.escape(rule)}(; .+)?$`);
}

describe.each(Object.entries(KINDS))("%s", (_name, { kind, right, wrong }) => {
  it.each(right)("reads %j", (given, value) => {
    expect(kind.schema.parse(given)).toEqual(value);
  });

  it.each(wrong.map((given) => [given]))("refuses %j with its rule", (given) => {
    const result = kind.schema.safeParse(given);
    expect(result.error?.issues.map(({ message }) => message)).toEqual([expect.stringMatching(wholeRule(kind.rule))]);
  });
});
