import { type LookupAddress, lookup } from "node:dns";

/** Receives every address of a name, or the error. */
export type Resolved = (error: Error | null, addresses: readonly LookupAddress[]) => void;

/** Finds the addresses of a host name. */
export type Resolve = (hostname: string, resolved: Resolved) => void;

/** The system's resolver (getaddrinfo: hosts file, search domains, all families), addresses in its order. */
export const systemResolve: Resolve = (hostname, resolved) => {
  lookup(hostname, { all: true }, resolved);
};

/**
 * Lets connections opened at the same time share one look-up of their common name: getaddrinfo runs on a few threads that
 * all names share, so a name whose servers do not answer must not take more than one of them. Nothing is kept afterwards.
 */
export function shareLookups(resolve: Resolve): Resolve {
  const waiting = new Map<string, Resolved[]>();
  return (hostname, resolved) => {
    const others = waiting.get(hostname);
    if (others !== undefined) {
      others.push(resolved);
      return;
    }
    const all = [resolved];
    waiting.set(hostname, all);
    resolve(hostname, (error, addresses) => {
      waiting.delete(hostname);
      for (const one of all) one(error, addresses);
    });
  };
}
