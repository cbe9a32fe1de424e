import { BlockList, isIP, isIPv4 } from "node:net";

/** Says which addresses may be connected to (P12). */
export interface Guard {
  /** False for anything that is not an IP address: what cannot be judged is refused. */
  allows(address: string): boolean;
}

/** Networks that are not the public internet, by IANA's special-purpose registry, with the metadata services outside it. */
const REFUSED_V4: readonly (readonly [network: string, prefix: number])[] = [
  ["0.0.0.0", 8], // this host, unspecified
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // carrier-grade NAT; metadata of Alibaba Cloud
  ["127.0.0.0", 8], // loopback
  ["168.63.129.16", 32], // metadata and agent channel of Azure, a public address
  ["169.254.0.0", 16], // link-local; metadata of most clouds
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // protocol assignments; metadata of Oracle Cloud
  ["192.0.2.0", 24], // documentation
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarking
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, broadcast
];

/** All of IPv6 but global unicast (2000::/3), and what is special within that. */
const REFUSED_V6: readonly (readonly [network: string, prefix: number])[] = [
  ["::", 3], // unspecified, loopback, IPv4-mapped and -compatible, NAT64
  ["4000::", 2],
  ["8000::", 1], // unique local, link-local, site-local, multicast
  ["2001::", 23], // protocol assignments: Teredo, benchmarking, ORCHID
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4, which carries any IPv4 address
  ["3fff::", 20], // documentation
];

/**
 * Refuses everything that is not the public internet, except `allowNetworks`: CIDR networks or single addresses.
 * An IPv4-mapped IPv6 address is allowed where its IPv4 address is named in `allowNetworks`.
 */
export function createGuard(allowNetworks: readonly string[]): Guard {
  // One list per family: a BlockList lets an IPv6 rule such as ::/3 match IPv4 addresses, as their mapped form.
  const refused4 = new BlockList();
  for (const [network, prefix] of REFUSED_V4) refused4.addSubnet(network, prefix, "ipv4");
  const refused6 = new BlockList();
  for (const [network, prefix] of REFUSED_V6) refused6.addSubnet(network, prefix, "ipv6");
  const allowed4 = new BlockList();
  const allowed6 = new BlockList();
  for (const network of allowNetworks) {
    const [address = "", prefix] = network.split("/", 2);
    if (isIPv4(address)) allowed4.addSubnet(address, prefix === undefined ? 32 : Number(prefix), "ipv4");
    else allowed6.addSubnet(address, prefix === undefined ? 128 : Number(prefix), "ipv6");
  }
  return {
    allows(address) {
      switch (isIP(address)) {
        case 4:
          return allowed4.check(address, "ipv4") || !refused4.check(address, "ipv4");
        case 6:
          return allowed6.check(address, "ipv6") || allowed4.check(address, "ipv6") || !refused6.check(address, "ipv6");
        default:
          return false;
      }
    },
  };
}
