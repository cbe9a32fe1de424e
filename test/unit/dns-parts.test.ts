import { describe, expect, it } from "vitest";
import { parseHosts } from "../../src/dns/hosts.ts";
import { inOrder } from "../../src/dns/order.ts";
import { candidates, parseSearchRules } from "../../src/dns/search.ts";
import { SystemResolver } from "../../src/dns/system.ts";
import { WatchedFile } from "../../src/dns/watched-file.ts";

describe("a file of the system", () => {
  it("is read again once a second where it could not be read, and then not until it has changed", () => {
    let parsed = 0;
    let isFailing = false;
    const file = new WatchedFile(import.meta.filename, (text) => {
      parsed++;
      if (isFailing) throw new Error("no memory");
      return text.length;
    });
    isFailing = true;
    expect([file.read(0), file.read(999), parsed]).toEqual([0, 0, 2]);
    isFailing = false;
    expect(file.read(1_000)).toBeGreaterThan(1_000);
    file.read(2_000);
    expect(parsed).toBe(3);
  });
});

describe("a hosts file", () => {
  it.each([
    ["192.0.2.1 a b", { a: ["192.0.2.1"], b: ["192.0.2.1"] }],
    ["\t192.0.2.1\t A.Example.  # a\r\n#192.0.2.2 b", { "a.example": ["192.0.2.1"] }],
    ["192.0.2.1 a\n2001:db8::1 a\n192.0.2.2 a", { a: ["192.0.2.1", "2001:db8::1", "192.0.2.2"] }],
    ["192.0.2 a\nname a\n\n192.0.2.1\n999.1.1.1 a", {}],
    ["192.0.2.1 __proto__ constructor", { ["__proto__"]: ["192.0.2.1"], constructor: ["192.0.2.1"] }],
  ])("%j", (text, hosts) => {
    const parsed = [...parseHosts(text)].map(([name, addresses]) => [name, addresses.map(({ address }) => address)]);
    expect(parsed).toEqual(Object.entries(hosts));
  });
});

describe("a resolv.conf", () => {
  it.each([
    ["", "host", { ndots: 1, domains: [] }],
    ["", "host.corp.example", { ndots: 1, domains: ["corp.example"] }],
    ["search a.b c.\n", "host.corp.example", { ndots: 1, domains: ["a.b", "c"] }],
    ["search .\n", "host.corp.example", { ndots: 1, domains: [] }],
    ["domain d.e f\n", "host", { ndots: 1, domains: ["d.e"] }],
    ["search a\nsearch B\tc  \n", "host", { ndots: 1, domains: ["b", "c"] }],
    ["nameserver 192.0.2.1\noptions rotate ndots:5 timeout:1\n", "host", { ndots: 5, domains: [] }],
    ["options ndots:99\noptions ndots:x\n", "host", { ndots: 15, domains: [] }],
    ["# search a\n;search b\n search c\n", "host", { ndots: 1, domains: [] }],
  ])("%j on %s", (text, machine, rules) => {
    expect(parseSearchRules(text, machine)).toEqual(rules);
  });

  it("has no more domains than an honest one", () => {
    const names = Array.from({ length: 1_000 }, (_, at) => `d${at}`);
    expect(parseSearchRules(`search ${names.join(" ")}`, "host").domains).toHaveLength(32);
  });

  it.each([
    ["a", ["a.x", "a.y", "a"]],
    ["a.b", ["a.b", "a.b.x", "a.b.y"]],
    ["a.", ["a"]],
    ["a.b.", ["a.b"]],
  ])("completes %s", (name, full) => {
    expect(candidates(name, { ndots: 1, domains: ["x", "y"] })).toEqual(full);
  });
});

describe("addresses are tried in the order of RFC 6724", () => {
  const of = (...addresses: string[]): { address: string; family: number }[] =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

  it.each([
    ["IPv6 first with an address of the same kind", ["2001:db8::9"], ["2001:db8::1", "192.0.2.1", "192.0.2.2"]],
    ["IPv4 first without one", ["::1", "fe80::1"], ["192.0.2.1", "192.0.2.2", "2001:db8::1"]],
    ["IPv4 first with one of another kind", ["fd00::1"], ["192.0.2.1", "192.0.2.2", "2001:db8::1"]],
  ])("%s", (_what, own, ordered) => {
    expect(inOrder(of("192.0.2.1", "2001:db8::1", "192.0.2.2"), () => own)).toEqual(of(...ordered));
  });

  it("NAT64's addresses are global ones", () => {
    const ordered = of("64:ff9b::c000:201", "192.0.2.1");
    expect(inOrder(ordered.toReversed(), () => ["2001:db8::9"])).toEqual(ordered);
  });

  it("and those of one family as they came", () => {
    const addresses = of("192.0.2.2", "192.0.2.1");
    expect(inOrder(addresses, () => [])).toBe(addresses);
  });
});

describe("the threads of the system's resolver", () => {
  it("are never all taken by names of one standing, and some are left to others", async () => {
    const asked: string[] = [];
    const system = new SystemResolver(32, (name) => {
      asked.push(name);
      return new Promise(() => undefined);
    });
    const ask = async (standing: "known" | "unknown" | "silent"): Promise<number> => {
      const before = asked.length;
      for (let at = 0; at < 100; at++) void system.ask(`${standing}-${at}`, standing, () => 0);
      return asked.length - before;
    };
    expect(await ask("silent")).toBe(7);
    expect(await ask("unknown")).toBe(14);
    expect(await ask("known")).toBe(7);
    expect(await system.ask("one.more", "known", () => 0)).toEqual({ kind: "failed", code: "NO_THREAD" });
  });

  it("remember a bounded number of names for a bounded time", async () => {
    const addresses = [{ address: "192.0.2.1", family: 4 }];
    const system = new SystemResolver(32, () => Promise.resolve({ kind: "found", addresses, ttlMs: 0 }));
    for (let at = 0; at < 3_000; at++) await system.ask(`name-${at}`, "unknown", () => 0);
    expect([system.knows("name-2999", 1), system.knows("name-2000", 1), system.knows("name-1999", 1)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(system.knows("name-2999", 600_000)).toBe(false);
  });
});
