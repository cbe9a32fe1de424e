import { type RecordWithTtl, Resolver } from "node:dns";
import type { Answer } from "./answer.ts";

/** First wait for a server in milliseconds, the longest, and how often each is asked. c-ares shortens the first for servers it knows. */
const WAITS = { timeout: 1_000, maxTimeout: 5_000, tries: 6 };

/** Once a name has addresses of one family, how long the other's are waited for, in milliseconds (RFC 8305, 3). */
const OTHER_FAMILY_MS = 300;

/** Queries of one channel: its ids have 16 bits, and are searched for a free one. */
const MOST_IN_CHANNEL = 4_000;

/** With more than this the oldest channel is given up, which has waited in vain for longest. */
const MOST_CHANNELS = 4;

/** c-ares's codes of a server that knows that there is no such name or address; the last is for what no name can be. */
const UNKNOWN = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

interface Channel {
  readonly resolver: Resolver;
  queries: number;
}

/**
 * Asks DNS servers, all names on one thread: however many get no answer, the next one is asked for at once. Every name is
 * used as it is; it needs no dot at its end.
 */
export class Queries {
  readonly #servers: readonly string[] | undefined;
  /** The newest last. */
  #channels: Channel[] = [];

  /** `servers` are those of the system where they are not given. */
  constructor(servers?: readonly string[]) {
    this.#servers = servers;
  }

  /** IPv4 and IPv6 addresses of `name`. */
  async ask(name: string): Promise<Answer> {
    const four = this.#query(4, name);
    const six = this.#query(6, name);
    const [first, other] = await Promise.race([
      four.then((answer) => [answer, six] as const),
      six.then((answer) => [answer, four] as const),
    ]);
    if (first.kind !== "found") return joined(first, await other);
    const second = await within(OTHER_FAMILY_MS, other);
    return second === null ? { ...first, ttlMs: 0 } : joined(first, second);
  }

  /** Servers may be others now: what is asked from here on goes to those of the system as it is then. */
  renew(): void {
    this.#channels.push(this.#open());
    this.#giveUpOldest();
  }

  #query(family: 4 | 6, name: string): Promise<Answer> {
    const channel = this.#channel();
    channel.queries++;
    return new Promise((resolve) => {
      const ended = (error: NodeJS.ErrnoException | null, records: readonly RecordWithTtl[]): void => {
        channel.queries--;
        resolve(error === null ? found(family, records) : notFound(error));
      };
      if (family === 4) channel.resolver.resolve4(name, { ttl: true }, ended);
      else channel.resolver.resolve6(name, { ttl: true }, ended);
    });
  }

  #channel(): Channel {
    const newest = this.#channels.at(-1);
    if (newest !== undefined && newest.queries < MOST_IN_CHANNEL) return newest;
    const channel = this.#open();
    this.#channels.push(channel);
    this.#giveUpOldest();
    return channel;
  }

  #open(): Channel {
    const resolver = new Resolver(WAITS);
    if (this.#servers !== undefined) resolver.setServers(this.#servers);
    return { resolver, queries: 0 };
  }

  #giveUpOldest(): void {
    const newest = this.#channels.at(-1);
    this.#channels = this.#channels.filter((channel) => channel.queries > 0 || channel === newest);
    if (this.#channels.length > MOST_CHANNELS) this.#channels.shift()?.resolver.cancel();
  }
}

function found(family: number, records: readonly RecordWithTtl[]): Answer {
  if (records.length === 0) return { kind: "unknown" };
  const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1_000;
  return { kind: "found", addresses: records.map(({ address }) => ({ address, family })), ttlMs };
}

function notFound({ code = "" }: NodeJS.ErrnoException): Answer {
  return UNKNOWN.has(code) ? { kind: "unknown" } : { kind: "failed", code };
}

/** What is known of a name, from what is known of each family. */
function joined(one: Answer, other: Answer): Answer {
  if (one.kind === "found" && other.kind === "found") {
    const addresses = [...one.addresses, ...other.addresses];
    return { kind: "found", addresses, ttlMs: Math.min(one.ttlMs, other.ttlMs) };
  }
  return [one, other].toSorted((a, b) => RANK[a.kind] - RANK[b.kind])[0] ?? one;
}

/** Addresses count more than a failure, and that more than the word that there is none of the other family. */
const RANK: Record<Answer["kind"], number> = { found: 0, failed: 1, unknown: 2 };

/** Null where `promise`, which never rejects, takes longer than `ms`. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(resolve, ms, null);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
