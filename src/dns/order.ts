import type { LookupAddress } from "node:dns";
import { BlockList } from "node:net";
import { networkInterfaces } from "node:os";

/** Kinds of IPv6 addresses: one is reached from an address of the same kind only. NAT64's prefix is of the global kind. */
const KINDS = [["2000::/3", "64:ff9b::/96"], ["fc00::/7"], ["fe80::/10"], ["::1/128"]].map((networks) => {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits), "ipv6");
  }
  return list;
});

/** True where `own`, addresses of this machine, have one from which the IPv6 `address` may be reached. */
export function reachable(address: string, own: readonly string[]): boolean {
  return KINDS.some((kind) => kind.check(address, "ipv6") && own.some((one) => kind.check(one, "ipv6")));
}

/**
 * Addresses in the order to try them: IPv6 first where this machine has an address of the same kind, as RFC 6724 has it;
 * within a family as they came. `own` are the IPv6 addresses of this machine.
 */
export function inOrder(addresses: readonly LookupAddress[], own: () => readonly string[]): readonly LookupAddress[] {
  if (new Set(addresses.map(({ family }) => family)).size < 2) return addresses;
  const mine = own();
  const rank = ({ address, family }: LookupAddress): number => (family === 4 ? 1 : reachable(address, mine) ? 0 : 2);
  return addresses.toSorted((one, other) => rank(one) - rank(other));
}

/** IPv6 addresses of this machine; none where the system does not say, as under a service manager that allows no netlink. */
export function ownIpv6(): readonly string[] {
  return Object.values(interfaces()).flatMap((one) =>
    (one ?? []).filter(({ family }) => family === "IPv6").map(({ address }) => address),
  );
}

function interfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch {
    return {};
  }
}
