import type { LookupAddress } from "node:dns";
import { isIP } from "node:net";

/** Names in lower case, and their addresses in the order of the file. */
export type Hosts = ReadonlyMap<string, readonly LookupAddress[]>;

/** Reads a hosts file, see hosts(5). What is not understood is skipped. */
export function parseHosts(text: string): Hosts {
  const hosts = new Map<string, LookupAddress[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const family = isIP(address);
    if (family === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, "");
      const addresses = hosts.get(key);
      if (addresses === undefined) hosts.set(key, [{ address, family }]);
      else addresses.push({ address, family });
    }
  }
  return hosts;
}
