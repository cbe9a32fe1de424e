import type { LookupAddress } from "node:dns";

/** Receives every address of a name, those to be tried first in front, or the error. */
export type Resolved = (error: Error | null, addresses: readonly LookupAddress[]) => void;

/** Finds the addresses of a host name; calls back later, never before it returns. */
export type Resolve = (hostname: string, resolved: Resolved) => void;

/** A `Resolve` whose caller may give up: it returns what is to be called then. */
export type SharedResolve = (hostname: string, resolved: Resolved) => () => void;

/** Lets those who ask for one name at the same time share one lookup. Nothing is kept of those that gave up. */
export function shareLookups(resolve: Resolve): SharedResolve {
  const lookups = new Map<string, Set<Resolved>>();
  return (hostname, resolved) => {
    const known = lookups.get(hostname);
    const waiting = known ?? new Set();
    waiting.add(resolved);
    if (known === undefined) {
      lookups.set(hostname, waiting);
      resolve(hostname, (error, addresses) => {
        lookups.delete(hostname);
        for (const one of waiting) one(error, addresses);
      });
    }
    return () => waiting.delete(resolved);
  };
}
