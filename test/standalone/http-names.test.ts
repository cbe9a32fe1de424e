import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Names } from "../../src/dns/names.ts";
import { type Failed } from "../../src/http/outcome.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { always, answered, failed, httpPeer, testClient } from "../support/http-peer.ts";

/** A server that knows names that begin with `good`, does not know `absent…`, and says nothing of any other. */
function startServer(): Promise<DnsServer> {
  return startDnsServer((name) => {
    if (name.startsWith("good")) return { addresses: ["127.0.0.1"], ttlSeconds: 0 };
    if (name.startsWith("slow")) return { addresses: ["127.0.0.1"], delayMs: 300 };
    return name.startsWith("absent") ? "no such name" : "silence";
  });
}

function namesBy(server: DnsServer): Names {
  const lookup = (): Promise<never> => new Promise(() => undefined);
  return new Names({ servers: [server.address], hostsFile: "/dev/null", resolvConf: "/dev/null", lookup });
}

test("P6: thousands of names that get no answer delay no other name, and are charged with their own time", async () => {
  await using server = await startServer();
  await using peer = await httpPeer(always("ok"));
  using names = namesBy(server);
  await using client = testClient({ resolve: names.resolve });
  const stuck: Promise<Failed>[] = [];
  // Not all at once: what a burst loses on the way to a server is asked for again, by good names, too.
  while (stuck.length < 3_000) {
    for (let at = 0; at < 30; at++)
      stuck.push(failed(client, `http://stuck-${stuck.length}.test:${peer.port}/`, { timeoutMs: 5_000 }));
    await setTimeout(10);
  }
  const tookMs: number[] = [];
  for (let at = 0; at < 30; at++) {
    const { timings } = await answered(client, `http://good-${at}.test:${peer.port}/`);
    tookMs.push(timings.totalMs);
  }
  // On an idle machine it is about a millisecond.
  expect(tookMs.toSorted((a, b) => a - b)[15]).toBeLessThan(500);
  const ended = await Promise.all(stuck);
  expect(new Set(ended.map(({ code }) => code))).toEqual(new Set(["timeout"]));
  for (const { timings } of ended) expect(timings.dnsMs).toBeGreaterThan(timings.totalMs / 2);
});

test("a name that gets no answer is not asked for more often than once at a time", async () => {
  await using server = await startServer();
  using names = namesBy(server);
  await using peer = await httpPeer(always("ok"));
  await using client = testClient({ resolve: names.resolve, connectionsPerOrigin: 100 });
  // The thread for names starts with the first one, which may take a busy machine longer than these requests wait.
  await answered(client, `http://good.test:${peer.port}/`);
  const all = Array.from({ length: 100 }, () => failed(client, "http://stuck.test/", { timeoutMs: 500 }));
  await Promise.all(all);
  const asked = server.asked.filter((name) => name.startsWith("stuck"));
  expect(new Set(asked)).toEqual(new Set(["stuck.test A", "stuck.test AAAA"]));
  // Each may be repeated, since no answer came; but not for each request.
  expect(asked.length).toBeLessThanOrEqual(12);
});

test("the wait for a slow answer counts, as the time of the name", async () => {
  await using server = await startServer();
  await using peer = await httpPeer(always("ok"));
  using names = namesBy(server);
  await using client = testClient({ resolve: names.resolve });
  const { timings } = await answered(client, `http://slow.test:${peer.port}/`);
  expect(timings.dnsMs).toBeGreaterThanOrEqual(290);
});

test("a name that does not exist is reported in pg_net's words", async () => {
  await using server = await startServer();
  using names = new Names({ servers: [server.address], lookup: () => Promise.resolve({ kind: "unknown" }) });
  await using client = testClient({ resolve: names.resolve });
  expect(await failed(client, "http://absent.test/")).toMatchObject({
    code: "dns",
    message: "Couldn't resolve host name",
    detail: "ENOTFOUND",
    maybeReceived: false,
  });
});

describe("localhost and names below it", () => {
  test.each([
    ["localhost", "127.0.0.1"],
    ["localhost", "::1"],
    ["foo.localhost", "127.0.0.1"],
    ["foo.localhost", "::1"],
    ["A.b.LOCALHOST.", "127.0.0.1"],
  ])("http://%s reaches %s", async (name, host) => {
    await using peer = await httpPeer(always("ok"), { host });
    await using client = testClient();
    expect((await answered(client, `http://${name}:${peer.port}/`)).content.toString()).toBe("ok");
  });

  test.each(["localhost", "foo.localhost", "foo.localhost."])("P12: the guard refuses %s, too", async (name) => {
    await using peer = await httpPeer(always("secret"));
    await using client = testClient({ allowNetworks: ["private"] });
    expect(await failed(client, `http://${name}:${peer.port}/`)).toMatchObject({ code: "refused_address" });
    expect(peer.connections).toBe(0);
  });
});
