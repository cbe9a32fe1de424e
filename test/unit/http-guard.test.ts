import { isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createGuard } from "../../src/http/guard.ts";

const REFUSED = [
  ["unspecified", "0.0.0.0", "0.255.255.255", "::", "::0"],
  ["private", "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"],
  ["loopback", "127.0.0.1", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1"],
  ["link-local", "169.254.0.0", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0"],
  ["carrier-grade NAT", "100.64.0.0", "100.127.255.255"],
  [
    "cloud metadata",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
  ],
  ["multicast", "224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
  ["reserved and broadcast", "240.0.0.1", "255.255.255.255"],
  [
    "IPv4 for documentation",
    "192.0.2.0",
    "192.0.2.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
  ],
  ["IPv6 for documentation", "2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1"],
  ["benchmarking", "198.18.0.1", "198.19.255.255", "2001:2::1"],
  ["protocol assignments", "192.0.0.8", "192.0.0.170", "2001:1::1", "2001:1ff::1", "100::1"],
  ["unique local and site-local", "fc00::1", "fdff::1", "fec0::1"],
  ["IPv4-mapped", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"],
  ["IPv4-compatible", "::127.0.0.1", "::7f00:1", "::8.8.8.8"],
  ["local NAT64", "64:ff9b:1::1", "64:ff9b:1::8.8.8.8", "64:ff9b::1:808:808", "64:ff9a:ffff::1"],
  ["6to4", "2002:7f00:1::", "2002:808:808::1", "2002:ffff::1", "192.88.99.0", "192.88.99.255"],
  ["Teredo", "2001::1", "2001:0:4136:e378::1"],
  ["not assigned", "1fff:ffff::1", "4000::1", "5f00::1", "7fff::1", "8000::1", "e000::1"],
  ["not an address", "", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "127.0.0.1:80", "[::1]", "1.1.1.1\0"],
] as const;

describe("P12: without an allowance", () => {
  const guard = createGuard([]);

  test.each(REFUSED.map(([what, ...addresses]) => ({ what, addresses })))("$what is refused", ({ addresses }) => {
    expect(addresses.filter((address) => guard.allows(address))).toEqual([]);
  });

  test("public addresses are allowed, up to the borders of what is refused", () => {
    const beside = ["9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"];
    const more = ["169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0"];
    const last = ["198.17.255.255", "198.20.0.0", "223.255.255.255", "1.0.0.0", "168.63.129.15", "192.0.1.1"];
    const v6 = ["2001:200::1", "2606:4700:4700::1111", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1"];
    const small = [
      "192.0.3.0",
      "192.88.98.255",
      "192.88.100.0",
      "198.51.99.255",
      "198.51.101.0",
      "203.0.112.255",
      "203.0.114.0",
    ];
    const all = [...beside, ...more, ...last, ...small, ...v6, "2000::", "3ffe::1", "3fff:1000::1", "8.8.8.8"];
    expect(all.filter((address) => !guard.allows(address))).toEqual([]);
  });

  test("no IPv4-mapped or -compatible address is allowed, whichever IPv4 address it carries", () => {
    const forms = ["::ffff:", "::", "::ffff:0:"];
    fc.assert(
      fc.property(fc.constantFrom(...forms), fc.ipV4(), (form, address) => {
        expect(isIPv6(form + address)).toBe(true);
        expect(guard.allows(form + address)).toBe(false);
      }),
    );
  });
});

describe("P12: behind NAT64's prefix", () => {
  test.each([
    [[], "64:ff9b::8.8.8.8", true],
    [[], "64:ff9b::808:808", true],
    [[], "0064:FF9B:0:0:0:0:0808:0808", true],
    [[], "64:ff9b::7f00:1", false],
    [[], "64:ff9b::127.0.0.1", false],
    [[], "64:ff9b::a9fe:a9fe", false],
    [[], "64:ff9b::10.0.0.1", false],
    [[], "64:ff9b::192.168.0.1%eth0", false],
    [[], "64:ff9b::", false],
    [[], "64:ff9b::168.63.129.16", false],
    [["10.1.0.0/16"], "64:ff9b::10.1.2.3", true],
    [["10.1.0.0/16"], "64:ff9b::10.2.2.3", false],
    [["0.0.0.0/0"], "64:ff9b::127.0.0.1", true],
    [["0.0.0.0/0"], "64:ff9b::169.254.169.254", false],
    [["169.254.169.254"], "64:ff9b::169.254.169.254", true],
    [["64:ff9b::/96"], "64:ff9b::127.0.0.1", true],
    [["64:ff9b::/96"], "64:ff9b::169.254.169.254", false],
    [["64:ff9b:1::/48"], "64:ff9b:1::10.0.0.1", true],
  ] as const)("with %j allowed, %s is %s", (networks, address, allowed) => {
    expect(createGuard(networks).allows(address)).toBe(allowed);
  });

  test("an address is allowed where its IPv4 address is, whichever that is", () => {
    const guards = [[], ["private"], ["127.0.0.1", "169.254.0.0/16"], ["0.0.0.0/0"]].map(createGuard);
    fc.assert(
      fc.property(fc.ipV4(), fc.constantFrom(...guards), (address, guard) => {
        expect(guard.allows(`64:ff9b::${address}`)).toBe(guard.allows(address));
      }),
    );
  });
});

describe("P12: the word private", () => {
  const guard = createGuard(["private"]);

  test("allows RFC 1918's and unique local addresses", () => {
    const all = ["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"];
    const v6 = ["fc00::", "fdff:ffff::1", "fdc4:f303:9324::254", "::ffff:10.0.0.1"];
    expect([...all, ...v6, "8.8.8.8"].filter((address) => !guard.allows(address))).toEqual([]);
  });

  test("allows neither loopback, link-local, carrier-grade NAT nor metadata services", () => {
    const near = ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "100.64.0.1", "0.0.0.0", "::", "fec0::1", "192.0.0.8"];
    const metadata = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "169.254.170.2"];
    const v6 = ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:169.254.169.254"];
    expect([...near, ...metadata, ...v6].filter((address) => guard.allows(address))).toEqual([]);
  });

  test("goes together with networks and addresses", () => {
    const both = createGuard(["private", "127.0.0.1/32", "fd20:ce::254/128"]);
    expect(["10.0.0.1", "127.0.0.1", "fd20:ce::254"].every((address) => both.allows(address))).toBe(true);
    expect(["127.0.0.2", "fd00:ec2::254"].some((address) => both.allows(address))).toBe(false);
  });
});

describe("P12: a metadata service is allowed by its own address alone", () => {
  test.each([
    ["100.100.100.200", "100.64.0.0/10"],
    ["168.63.129.16", "168.63.0.0/16"],
    ["169.254.169.254", "169.254.0.0/16"],
    ["169.254.170.2", "169.254.170.0/28"],
    ["169.254.170.23", "0.0.0.0/0"],
    ["192.0.0.192", "192.0.0.0/24"],
    ["fd00:ec2::23", "fd00:ec2::/64"],
    ["fd00:ec2::254", "fc00::/7"],
    ["fd20:ce::254", "::/0"],
    ["::ffff:169.254.169.254", "::/0"],
    ["::ffff:100.100.100.200", "100.64.0.0/10"],
  ])("%s, not by %s", (address, network) => {
    expect(createGuard([network]).allows(address)).toBe(false);
    expect(createGuard([network, address]).allows(address)).toBe(true);
    expect(createGuard([network]).allows(address.replace(/\d$/, "5"))).toBe(true);
  });
});

describe("P12: with allowances", () => {
  test.each([
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["127.0.0.1/32", "127.0.0.2", false],
    ["10.1.0.0/16", "10.1.255.255", true],
    ["10.1.0.0/16", "10.2.0.0", false],
    ["10.1.0.0/16", "::ffff:10.1.2.3", true],
    ["10.1.0.0/16", "::ffff:10.2.2.3", false],
    ["10.1.0.0/16", "::10.1.2.3", false],
    ["::1", "::1", true],
    ["::1", "::2", false],
    ["::1", "127.0.0.1", false],
    ["fd00::/8", "fd12::1", true],
    ["fd00::/8", "fc12::1", false],
    ["fe80::/10", "fe80::1%eth0", true],
    ["::/0", "127.0.0.1", false],
    ["::/0", "fd00:ec2::253", true],
    ["0.0.0.0/0", "::1", false],
    ["0.0.0.0/0", "169.254.169.253", true],
  ])("%s: %s is %s", (network, address, allowed) => {
    expect(createGuard([network]).allows(address)).toBe(allowed);
  });

  test("several add up, and take nothing from the public internet", () => {
    const guard = createGuard(["10.0.0.0/8", "192.168.1.1", "fd00::/8"]);
    expect(["10.1.1.1", "192.168.1.1", "fd00::1", "8.8.8.8"].every((address) => guard.allows(address))).toBe(true);
    expect(guard.allows("192.168.1.2")).toBe(false);
  });
});
