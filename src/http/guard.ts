import { BlockList, isIP, isIPv4 } from "node:net";

/** Says which addresses may be connected to (P12). */
export interface Guard {
  /** False for anything that is not an IP address: what cannot be judged is refused. */
  allows(address: string): boolean;
}

/** What the word `private` stands for in a list of networks: RFC 1918 and RFC 4193. Loopback and link-local are not in it. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/** Networks that are not the public internet, by IANA's special-purpose registry. */
const REFUSED_V4 = [
  "0.0.0.0/8", // this host, unspecified
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
];

/** All of IPv6 but global unicast (2000::/3), and what is special within that. NAT64 (64:ff9b::/96) is judged before. */
const REFUSED_V6 = [
  "::/3", // unspecified, loopback, IPv4-mapped and -compatible, local NAT64 (64:ff9b:1::/48)
  "4000::/2",
  "8000::/1", // unique local, link-local, site-local, multicast
  "2001::/23", // protocol assignments: Teredo, benchmarking, ORCHID
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4, which carries any IPv4 address
  "3fff::/20", // documentation
];

/** Services that hand out credentials to whoever can reach them. Only their own address in the list allows one, no network around it. */
const METADATA = [
  "100.100.100.200", // Alibaba Cloud
  "168.63.129.16", // Azure, a public address
  "169.254.169.254", // most clouds
  "169.254.170.2", // Amazon ECS
  "169.254.170.23", // Amazon EKS
  "192.0.0.192", // Oracle Cloud
  "fd00:ec2::23", // Amazon EKS
  "fd00:ec2::254", // Amazon EC2
  "fd20:ce::254", // Google Cloud
];

/** IPv4 addresses as a network with IPv6 alone reaches them (RFC 6052). */
const NAT64 = "64:ff9b::";

/**
 * Refuses everything that is not the public internet, except `allowNetworks`: CIDR networks, single addresses, the word
 * `private`. Metadata services need their very address. An IPv4 address within NAT64's prefix is judged as itself; an
 * IPv4-mapped one is allowed where `allowNetworks` has its IPv4 address.
 */
export function createGuard(allowNetworks: readonly string[]): Guard {
  const refused = new Networks([...REFUSED_V4, ...REFUSED_V6]);
  const metadata = new Networks(METADATA);
  const nat64 = new Networks([`${NAT64}/96`]);
  const listed = allowNetworks.flatMap((network) => (network === "private" ? PRIVATE : [network]));
  const allowed = new Networks(listed);
  const exactly = new Networks(listed.filter(isSingle));
  return {
    allows(address) {
      if (isIP(address) === 0) return false;
      if (exactly.has(address)) return true;
      if (metadata.has(address)) return false;
      return allowed.has(address) || !(nat64.has(address) ? refused.hasTranslated(address) : refused.has(address));
    },
  };
}

/** A set of networks. Of IPv4 ones it also has the IPv4-mapped and the NAT64 form. */
class Networks {
  // Three lists: a rule for IPv6 such as ::/3 would else match IPv4 addresses, too, as their mapped form.
  readonly #v4 = new BlockList();
  readonly #v6 = new BlockList();
  readonly #translated = new BlockList();

  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = "", prefix] = network.split("/", 2);
      if (isIPv4(address)) {
        const bits = Number(prefix ?? 32);
        this.#v4.addSubnet(address, bits, "ipv4");
        this.#translated.addSubnet(NAT64 + address, 96 + bits, "ipv6");
      } else this.#v6.addSubnet(address, Number(prefix ?? 128), "ipv6");
    }
  }

  has(address: string): boolean {
    if (isIPv4(address)) return this.#v4.check(address, "ipv4");
    return this.#v6.check(address, "ipv6") || this.#v4.check(address, "ipv6") || this.hasTranslated(address);
  }

  /** True where `address` is an IPv4 address of these networks behind NAT64's prefix. */
  hasTranslated(address: string): boolean {
    return this.#translated.check(address, "ipv6");
  }
}

function isSingle(network: string): boolean {
  const [address = "", prefix] = network.split("/", 2);
  return prefix === undefined || Number(prefix) === (isIPv4(address) ? 32 : 128);
}
