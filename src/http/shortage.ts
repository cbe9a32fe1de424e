import { isShortage } from "../base/shortage.ts";
import { ownIpv6, reachable } from "../dns/order.ts";

/** The code of what this process lacked when it tried to connect; null where `error` is somebody else's. */
export function shortageIn(error: Error, own: () => readonly string[] = ownIpv6): string | null {
  const tried: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  for (const one of tried) {
    const { code, address } = one as { readonly code?: unknown; readonly address?: unknown };
    if (typeof code !== "string") continue;
    if (isShortage(code) || (code === "EADDRNOTAVAIL" && isOutOfPorts(String(address), own))) return code;
  }
  return null;
}

/** To an IPv6 address that no address of this machine can reach, the system says the same as where no port is left. */
function isOutOfPorts(address: string, own: () => readonly string[]): boolean {
  return !address.includes(":") || reachable(address, own());
}
