import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os, { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import type { Answer } from "../../src/dns/answer.ts";
import { type NameSources, Names } from "../../src/dns/names.ts";
import { Queries } from "../../src/dns/queries.ts";
import { type DnsServer, type Says, startDnsServer } from "../support/dns-server.ts";

const folder = mkdtempSync(join(tmpdir(), "pgnetd-dns-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

function file(content: string): string {
  const path = join(folder, `${files++}`);
  writeFileSync(path, content);
  return path;
}

const nobodyKnows = (): Promise<Answer> => Promise.resolve({ kind: "unknown" });

/** Names by `server` alone: without the hosts file, search domains and resolver of this machine. */
function namesOf(server: DnsServer | null, sources: NameSources = {}): Names {
  return new Names({
    servers: [server?.address ?? "127.0.0.1:1"],
    hostsFile: file(""),
    resolvConf: file("search ."),
    lookup: nobodyKnows,
    lookupThreads: 16,
    ...sources,
  });
}

/** The addresses of `name`, or the code of the failure. */
function addressesOf(names: Names, name: string): Promise<readonly string[] | string> {
  return new Promise((resolve) => {
    names.resolve(name, (error, addresses) => {
      if (error === null) resolve(addresses.map(({ address }) => address));
      else resolve("code" in error ? String(error.code) : error.message);
    });
  });
}

const zone =
  (records: Readonly<Record<string, Says>>) =>
  (name: string): Says =>
    records[name] ?? "no such name";

describe("DNS servers", () => {
  test("are asked for both families, and what they say is taken", async () => {
    await using server = await startDnsServer(
      zone({
        "four.test": { addresses: ["192.0.2.1", "192.0.2.2"] },
        "six.test": { addresses: ["2001:db8::1"] },
        "both.test": { addresses: ["192.0.2.1", "2001:db8::1"] },
        "none.test": { addresses: [] },
        "broken.test": "failure",
        "refused.test": "refused",
        "my_service.test": { addresses: ["192.0.2.3"] },
        "xn--bcher-kva.test": { addresses: ["192.0.2.4"] },
      }),
    );
    using names = namesOf(server);
    expect(await addressesOf(names, "four.test")).toEqual(["192.0.2.1", "192.0.2.2"]);
    expect(await addressesOf(names, "six.test")).toEqual(["2001:db8::1"]);
    expect((await addressesOf(names, "both.test")).length).toBe(2);
    expect(await addressesOf(names, "my_service.test")).toEqual(["192.0.2.3"]);
    expect(await addressesOf(names, new URL("http://BÜCHER.test/").hostname)).toEqual(["192.0.2.4"]);
    expect(await addressesOf(names, "four.test.")).toEqual(["192.0.2.1", "192.0.2.2"]);
    for (const name of ["none.test", "absent.test", "broken.test", "refused.test", "a..b", `${"x".repeat(64)}.test`])
      expect([name, await addressesOf(names, name)]).toEqual([name, "ENOTFOUND"]);
  });

  test("P5, P6: of a name with many addresses the first sixteen of each family are taken", async () => {
    const addresses = (family: 4 | 6, count: number): string[] =>
      Array.from({ length: count }, (_, at) => (family === 4 ? `192.0.2.${at}` : `2001:db8::${at + 1}`));
    await using server = await startDnsServer((_name, type) => ({
      addresses: addresses(type === "A" ? 4 : 6, type === "A" ? 60 : 30),
    }));
    using names = namesOf(server);
    const taken = await addressesOf(names, "many.test");
    expect(new Set(taken)).toEqual(new Set([...addresses(4, 16), ...addresses(6, 16)]));
    expect(taken).toHaveLength(32);
    using bySystem = namesOf(null, {
      lookup: () =>
        Promise.resolve({
          kind: "found",
          addresses: [
            ...addresses(6, 30).map((address) => ({ address, family: 6 })),
            ...addresses(4, 60).map((address) => ({ address, family: 4 })),
          ],
          ttlMs: 0,
        }),
    });
    expect(await addressesOf(bySystem, "many.test")).toEqual([...addresses(6, 16), ...addresses(4, 16)]);
  });

  test("P6: are read in a thread of their own: answers as large as there can be cost next to nothing here", async () => {
    const says = { addresses: Array.from({ length: 4_000 }, (_, at) => `192.0.${at >> 8}.${at & 255}`), ttlSeconds: 0 };
    await using server = await startDnsServer(() => says);
    using names = namesOf(server);
    const here = new Queries([server.address]);
    await Promise.all([addressesOf(names, "first.test"), here.ask("first.test")]);
    const many = Array.from({ length: 40 }, (_, at) => `${at}.test`);
    const cpuOf = async (ask: (name: string) => Promise<unknown>): Promise<number> => {
      const before = process.threadCpuUsage();
      await Promise.all(many.map(ask));
      const { user, system } = process.threadCpuUsage(before);
      return user + system;
    };
    const inThisThread = await cpuOf((name) => here.ask(name));
    const inItsOwn = await cpuOf((name) => addressesOf(names, name));
    expect(inItsOwn).toBeLessThan(inThisThread / 2);
  });

  test.each([
    ["A", "2001:db8::1"],
    ["AAAA", "192.0.2.1"],
  ])(
    "that say nothing to %s hold up the other family for a moment only, and are asked again for the next request",
    async (silent, address) => {
      await using server = await startDnsServer((_name, type) =>
        type === silent ? "silence" : { addresses: [address] },
      );
      using names = namesOf(server);
      const startedAt = performance.now();
      expect(await addressesOf(names, "half.test")).toEqual([address]);
      // All tries of the silent one take more than 20 seconds.
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      await addressesOf(names, "half.test");
      const answering = silent === "A" ? "AAAA" : "A";
      expect(server.asked.filter((one) => one === `half.test ${answering}`)).toHaveLength(2);
    },
  );

  test("are asked again only after the time that their answer is good for, ten seconds at most", async () => {
    await using server = await startDnsServer(
      zone({
        "long.test": { addresses: ["192.0.2.1"], ttlSeconds: 86_400 },
        "short.test": { addresses: ["192.0.2.2"], ttlSeconds: 3 },
        "once.test": { addresses: ["192.0.2.3"], ttlSeconds: 0 },
      }),
    );
    using names = namesOf(server);
    const clock = vi.spyOn(performance, "now");
    const at = performance.now();
    const askedAt = async (seconds: number): Promise<number> => {
      clock.mockReturnValue(at + seconds * 1_000);
      const before = server.asked.length;
      for (const name of ["long.test", "short.test", "once.test", "absent.test"]) await addressesOf(names, name);
      return (server.asked.length - before) / 2;
    };
    try {
      expect(await askedAt(0)).toBe(4);
      expect(await askedAt(1)).toBe(1); // once
      expect(await askedAt(2.5)).toBe(2); // and absent
      expect(await askedAt(3.5)).toBe(2); // once, short
      expect(await askedAt(11)).toBe(4);
    } finally {
      clock.mockRestore();
    }
  });
});

describe("names are completed as resolv.conf says", () => {
  const cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n";

  test.each([
    [cluster, "kong", ["kong.shop.svc.cluster.local"]],
    [cluster, "kong.infra", ["kong.infra.shop.svc.cluster.local", "kong.infra.svc.cluster.local"]],
    [
      cluster,
      "api.example.com",
      [
        "api.example.com.shop.svc.cluster.local",
        "api.example.com.svc.cluster.local",
        "api.example.com.cluster.local",
        "api.example.com",
      ],
    ],
    [cluster, "api.example.com.", ["api.example.com"]],
    ["search corp.example\n", "api.example.com", ["api.example.com"]],
    ["search corp.example\n", "intranet", ["intranet.corp.example"]],
    ["search other\ndomain corp.example\n", "intranet", ["intranet.corp.example"]],
    ["options ndots:0\nsearch corp.example\n", "web", ["web"]],
  ])("%j: %s", async (resolvConf, name, asked) => {
    const known = new Set(asked.slice(-1));
    await using server = await startDnsServer((one) =>
      known.has(one) ? { addresses: ["192.0.2.1"] } : "no such name",
    );
    using names = namesOf(server, { resolvConf: file(resolvConf) });
    expect(await addressesOf(names, name)).toEqual(["192.0.2.1"]);
    expect([...new Set(server.asked.map((one) => one.split(" ")[0]))]).toEqual(asked);
  });

  test("and the rest of the list is asked for where a domain's server fails", async () => {
    await using server = await startDnsServer(
      zone({ "web.broken.example": "failure", "web.corp.example": { addresses: ["192.0.2.1"] } }),
    );
    using names = namesOf(server, { resolvConf: file("search broken.example corp.example") });
    expect(await addressesOf(names, "web")).toEqual(["192.0.2.1"]);
  });
});

describe("the hosts file", () => {
  test("comes before all servers, and is read again when it has changed", async () => {
    await using server = await startDnsServer(() => ({ addresses: ["192.0.2.9"] }));
    const hostsFile = file("192.0.2.1 Db.internal db # the database\n2001:db8::1\tdb\nnonsense db\n");
    using names = namesOf(server, { hostsFile });
    expect(await addressesOf(names, "db.internal")).toEqual(["192.0.2.1"]);
    expect(await addressesOf(names, "db.internal.")).toEqual(["192.0.2.1"]);
    expect(((await addressesOf(names, "db")) as string[]).toSorted()).toEqual(["192.0.2.1", "2001:db8::1"]);
    expect(server.asked).toEqual([]);
    writeFileSync(hostsFile, "192.0.2.77 db.internal\n");
    await expect.poll(() => addressesOf(names, "db.internal"), { timeout: 10_000 }).toEqual(["192.0.2.77"]);
    rmSync(hostsFile);
    expect(await addressesOf(names, "db.internal")).toEqual(["192.0.2.77"]);
  });
});

describe("localhost, and names below it", () => {
  test.each(["localhost", "localhost.", "foo.localhost", "a.b.localhost."])(
    "%s is loopback, whatever hosts file and servers say",
    async (name) => {
      await using server = await startDnsServer(() => ({ addresses: ["192.0.2.9"] }));
      using names = namesOf(server, { hostsFile: file("192.0.2.1 localhost foo.localhost\n") });
      expect(await addressesOf(names, name)).toEqual(["127.0.0.1", "::1"]);
      expect(server.asked).toEqual([]);
    },
  );

  test.each(["notlocalhost", "localhost.example"])("%s is neither", async (name) => {
    await using server = await startDnsServer(() => ({ addresses: ["192.0.2.9"] }));
    using names = namesOf(server);
    expect(await addressesOf(names, name)).toEqual(["192.0.2.9"]);
  });
});

describe("the system's resolver", () => {
  test("is asked for what DNS does not know: such as this form of an address, which is its alone", async () => {
    await using server = await startDnsServer(() => "no such name");
    using names = namesOf(server, { lookup: undefined });
    expect(await addressesOf(names, "127.1")).toEqual(["127.0.0.1"]);
  });

  test("is asked where no server can be", async () => {
    using names = namesOf(null, { lookup: undefined });
    expect(await addressesOf(names, "127.2")).toEqual(["127.0.0.2"]);
  });

  test("P6: goes on to find what it found lately, however many other names take its threads", async () => {
    await using server = await startDnsServer(() => "no such name");
    const found: Answer = { kind: "found", addresses: [{ address: "192.0.2.5", family: 4 }], ttlMs: 0 };
    const lookup = (name: string): Promise<Answer> =>
      name === "printer" ? Promise.resolve(found) : new Promise<Answer>(() => undefined);
    using names = namesOf(server, { lookup, lookupThreads: 16 });
    expect(await addressesOf(names, "printer")).toEqual(["192.0.2.5"]);
    const ended: unknown[] = [];
    for (let at = 0; at < 3_000; at++) void addressesOf(names, `nowhere-${at}`).then((one) => ended.push(one));
    // Those that find no thread have not failed: they are to be asked for again.
    await expect.poll(() => ended.length, { timeout: 20_000 }).toBeGreaterThan(2_900);
    expect(new Set(ended)).toEqual(new Set(["NO_THREAD"]));
    expect(await addressesOf(names, "printer")).toEqual(["192.0.2.5"]);
  });

  test("P6: finds a name that got no thread as soon as one is free", async () => {
    await using server = await startDnsServer(() => "no such name");
    const begun = Promise.withResolvers<undefined>();
    const slow = Promise.withResolvers<Answer>();
    const lookup = (name: string): Promise<Answer> => {
      begun.resolve(undefined);
      const found: Answer = { kind: "found", addresses: [{ address: "192.0.2.5", family: 4 }], ttlMs: 0 };
      return name === "slow" ? slow.promise : Promise.resolve(found);
    };
    // One of them for names that DNS does not know.
    using names = namesOf(server, { lookup, lookupThreads: 5 });
    const first = addressesOf(names, "slow");
    await begun.promise;
    expect(await addressesOf(names, "printer")).toBe("NO_THREAD");
    slow.resolve({ kind: "unknown" });
    await first;
    expect(await addressesOf(names, "printer")).toEqual(["192.0.2.5"]);
  });
});

describe("a lookup that cannot be carried out", () => {
  test("finds names of both families, IPv4 first, where the system does not say which addresses this machine has", async () => {
    await using server = await startDnsServer(() => ({ addresses: ["2001:db8::1", "192.0.2.1"] }));
    using names = namesOf(server, { hostsFile: file("2001:db8::2 db\n192.0.2.2 db\n") });
    const own = vi.spyOn(os, "networkInterfaces").mockImplementation(() => {
      throw new Error("uv_interface_addresses returned Unknown system error 97");
    });
    syncBuiltinESMExports();
    try {
      expect(await addressesOf(names, "both.test")).toEqual(["192.0.2.1", "2001:db8::1"]);
      expect(await addressesOf(names, "db")).toEqual(["192.0.2.2", "2001:db8::2"]);
      expect(own).toHaveBeenCalledTimes(2);
    } finally {
      own.mockRestore();
      syncBuiltinESMExports();
    }
  });

  test("fails with the code of its error, and is reported to whoever asked", async () => {
    await using server = await startDnsServer(() => "no such name");
    const lookup = (name: string): Promise<Answer> =>
      Promise.reject(name === "coded" ? Object.assign(new Error("denied"), { code: "EPERM" }) : new Error("defect"));
    using names = namesOf(server, { lookup });
    expect(await addressesOf(names, "coded")).toBe("EPERM");
    expect(await addressesOf(names, "uncoded")).toBe("EAI_FAIL");
  });
});

test("P5: a name longer than any there can be is unknown, and is neither asked for nor kept", async () => {
  await using server = await startDnsServer(zone({}));
  using names = namesOf(server);
  const label = "a".repeat(49);
  const longest = `${`${label}.`.repeat(5)}abc.`;
  expect(longest).toHaveLength(254);
  for (const name of [`${longest.slice(0, -1)}d.`, "a".repeat(60_000)])
    expect(await addressesOf(names, name)).toBe("ENOTFOUND");
  expect(server.asked).toEqual([]);
  expect(await addressesOf(names, longest)).toBe("ENOTFOUND");
  expect(server.asked.length).toBeGreaterThan(0);
});
