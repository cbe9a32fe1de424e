import { describe, expect, test } from "vitest";
import { type Resolve } from "../../src/dns/resolve.ts";
import { type HttpPeer, always, answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";

/** Names and their addresses; a name's last list is for all further look-ups. */
function names(
  table: Readonly<Record<string, readonly (readonly string[])[]>>,
): Resolve & { readonly asked: string[] } {
  const asked: string[] = [];
  const resolve: Resolve = (name, resolved) => {
    const lists = table[name] ?? [];
    const nth = asked.filter((one) => one === name).length;
    asked.push(name);
    const addresses = lists[Math.min(nth, lists.length - 1)] ?? [];
    setImmediate(
      resolved,
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };
  return Object.assign(resolve, { asked });
}

describe("P12: with nothing allowed, this machine is out of reach", () => {
  test.each([
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f000001:PORT/",
    "http://2130706433:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://user:pass@localhost:PORT/",
    "http://example.com@127.0.0.1:PORT/",
    "http://127.0.0.1\\@example.com:PORT/",
    "https://127.0.0.1:PORT/",
  ])("%s", async (url) => {
    await using peer = await httpPeer(always("secret"), { host: "::" });
    await using client = testClient({ allowNetworks: [] });
    const outcome = await failed(client, url.replace("PORT", String(peer.port)));
    expect(outcome).toMatchObject({ code: "refused_address", maybeReceived: false });
    expect(outcome.message).toMatch(/^Refused address \S+( of host \S+)?: .*PGNETD_ALLOW_NETWORKS$/);
    expect(peer.connections).toBe(0);
  });

  test.each([
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://100.100.100.200/",
  ])("nor are its neighbours and metadata services: %s", async (url) => {
    await using client = testClient();
    expect(await failed(client, url)).toMatchObject({ code: "refused_address" });
  });

  test("nor does a dot at the end help, where the resolver takes it", async () => {
    await using peer = await httpPeer(always("secret"));
    await using client = testClient({ resolve: names({ "localhost.": [["127.0.0.1"]] }), allowNetworks: [] });
    expect(await failed(client, `http://localhost.:${peer.port}/`)).toMatchObject({ code: "refused_address" });
    expect(peer.connections).toBe(0);
  });

  test.each([
    ["0.0.0.0", "127.0.0.1"],
    ["::", "::1"],
  ])("%s, though allowed, leads to %s, which is not: what counts is who answers", async (allowed, reached) => {
    await using peer = await httpPeer(always("secret"), { host: allowed });
    await using client = testClient({ allowNetworks: [allowed] });
    const host = allowed.includes(":") ? `[${allowed}]` : allowed;
    const outcome = await failed(client, `http://${host}:${peer.port}/`);
    expect(outcome).toMatchObject({ code: "refused_address", maybeReceived: false });
    expect(outcome.message).toContain(`Refused address ${reached} of host ${allowed}`);
    expect(peer.received).toHaveLength(0);
  });

  test("the message names address and host, and says what to do", async () => {
    await using client = testClient({ resolve: names({ "intern.test": [["10.1.2.3"]] }) });
    expect((await failed(client, "http://intern.test/?token=secret")).message).toBe(
      "Refused address 10.1.2.3 of host intern.test: it is not on the public internet. To allow it, add it to PGNETD_ALLOW_NETWORKS",
    );
    expect((await failed(client, "http://10.1.2.3/")).message).toMatch(/^Refused address 10\.1\.2\.3: it is not/);
  });
});

describe("P12: of a name's addresses", () => {
  test("those refused are passed over", async () => {
    await using peer = await httpPeer(always("ok"));
    await using client = testClient({
      resolve: names({ "mixed.test": [["10.0.0.1", "169.254.169.254", "fd00::1", "127.0.0.1"]] }),
      allowNetworks: ["127.0.0.1"],
    });
    expect((await answered(client, `http://mixed.test:${peer.port}/`)).content.toString()).toBe("ok");
  });

  test("those refused are not connected to, though they come first and would answer", async () => {
    await using peer = await httpPeer(always("ok"), { host: "0.0.0.0" });
    await using client = testClient({
      resolve: names({ "mixed.test": [["127.0.0.2", "127.0.0.1"]] }),
      allowNetworks: ["127.0.0.1"],
    });
    expect((await answered(client, `http://mixed.test:${peer.port}/`)).content.toString()).toBe("ok");
    expect(peer.connections).toBe(1);
  });

  test("none left is a refusal, whatever their family", async () => {
    await using client = testClient({
      resolve: names({ "bad.test": [["::ffff:127.0.0.2", "10.0.0.1"]] }),
      allowNetworks: [],
    });
    expect(await failed(client, "http://bad.test/")).toMatchObject({ code: "refused_address" });
  });

  test("what is no address is refused", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient({ resolve: names({ "odd.test": [["localhost"], ["/tmp/socket"]] }) });
    for (let at = 0; at < 2; at++)
      expect(await failed(client, `http://odd.test:${peer.port}/`)).toMatchObject({ code: "refused_address" });
    expect(peer.connections).toBe(0);
  });

  test("the ones judged are the ones connected to: a name that changes is looked up once for each connection", async () => {
    await using peer = await httpPeer(always("ok", ["Connection: close"]));
    const resolve = names({ "rebind.test": [["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1"]] });
    await using client = testClient({ resolve, allowNetworks: ["127.0.0.1"] });
    const url = `http://rebind.test:${peer.port}/`;
    expect((await answered(client, url)).content.toString()).toBe("ok");
    expect(await failed(client, url)).toMatchObject({ code: "refused_address" });
    expect(await failed(client, url)).toMatchObject({ code: "refused_address" });
    expect(resolve.asked).toHaveLength(3);
    expect(peer.connections).toBe(1);
  });

  test("a connection once made stays good", async () => {
    await using peer = await httpPeer(always("ok"));
    const resolve = names({ "rebind.test": [["127.0.0.1"], ["10.0.0.1"]] });
    await using client = testClient({ resolve, connectionsPerOrigin: 1 });
    const url = `http://rebind.test:${peer.port}/`;
    await answered(client, url);
    await answered(client, url);
    expect(resolve.asked).toHaveLength(1);
    expect(peer.connections).toBe(1);
  });
});

describe("P12: at every redirect", () => {
  const redirectTo = (location: string): Promise<HttpPeer> =>
    httpPeer((socket) => socket.write(response("", [`Location: ${location}`], "302 Found")));

  test.each(["http://127.0.0.2:PORT/", "http://[::1]:PORT/", "//0x7f.2:PORT/", "http://169.254.169.254/"])(
    "%s",
    async (to) => {
      await using inner = await httpPeer(always("secret"), { host: "::" });
      await using peer = await redirectTo(to.replace("PORT", String(inner.port)));
      await using client = testClient({ allowNetworks: ["127.0.0.1"] });
      const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`);
      expect(outcome).toMatchObject({ code: "refused_address", maybeReceived: true });
      expect(inner.connections).toBe(0);
    },
  );
});

describe("both families", () => {
  test.each([
    ["127.0.0.1", ["::1", "127.0.0.1"]],
    ["::1", ["127.0.0.1", "::1"]],
  ])("a name that answers only on %s is reached", async (host, addresses) => {
    await using peer = await httpPeer(always("ok"), { host });
    await using client = testClient({ resolve: names({ "both.test": [addresses] }) });
    expect((await answered(client, `http://both.test:${peer.port}/`)).content.toString()).toBe("ok");
  });

  test.each(["127.0.0.1", "::1"])("localhost on %s only is reached, if it has that address", async (host) => {
    await using peer = await httpPeer(always("ok"), { host });
    // Some systems' localhost is one address only; the outcome is then theirs.
    const resolve = names({ localhost: [["::1", "127.0.0.1"]] });
    await using client = testClient({ resolve });
    expect((await answered(client, `http://localhost:${peer.port}/`)).content.toString()).toBe("ok");
  });

  test("IPv6 alone", async () => {
    await using peer = await httpPeer(always("ok"), { host: "::1" });
    await using client = testClient({ resolve: names({ "six.test": [["::1"]] }) });
    await answered(client, `http://six.test:${peer.port}/`);
    await answered(client, `http://[::1]:${peer.port}/`);
    expect(peer.received.map(({ head }) => /^host: .*/im.exec(head)?.[0])).toEqual([
      `host: six.test:${peer.port}`,
      `host: [::1]:${peer.port}`,
    ]);
  });
});

test("connections opened at the same time share one look-up of their name", async () => {
  await using peer = await httpPeer(always("ok"));
  const resolve = names({ "many.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]] });
  await using client = testClient({ resolve, connectionsPerOrigin: 8 });
  const hosts = ["many.test", "other.test"].flatMap((host) => Array.from({ length: 8 }, () => host));
  await Promise.all(hosts.map((host) => answered(client, `http://${host}:${peer.port}/`)));
  expect(peer.connections).toBe(16);
  expect(resolve.asked.toSorted()).toEqual(["many.test", "other.test"]);
});
