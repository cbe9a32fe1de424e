import type { LookupAddress } from "node:dns";
import { hostname as machineName } from "node:os";
import { isShortage } from "../base/shortage.ts";
import { type Answer, firstOf } from "./answer.ts";
import { type Hosts, parseHosts } from "./hosts.ts";
import { inOrder, ownIpv6 } from "./order.ts";
import { QueryThread } from "./query-thread.ts";
import type { Resolved } from "./resolve.ts";
import { candidates, parseSearchRules, type SearchRules } from "./search.ts";
import { type Lookup, NO_THREAD, SystemResolver } from "./system.ts";
import { WatchedFile } from "./watched-file.ts";

/** Where names are looked up, in place of what the system says. */
export interface NameSources {
  /** DNS servers, as `address` or `address:port`. Default: those of the system. */
  readonly servers?: readonly string[] | undefined;
  /** Default: /etc/hosts and /etc/resolv.conf. */
  readonly hostsFile?: string | undefined;
  readonly resolvConf?: string | undefined;
  /** The system's resolver, and how many names it looks up at once. Default: getaddrinfo, on half of libuv's threads. */
  readonly lookup?: Lookup | undefined;
  readonly lookupThreads?: number | undefined;
}

/** A name has no address, or none could be found; `code` is the system's or library's own for the reason. */
export class UnresolvedName extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`the name cannot be resolved: ${code}`);
    this.code = code;
  }
}

/** RFC 6761, 6.3: no server is asked for these, whatever it would say. */
const LOCALHOST = /(^|\.)localhost\.?$/;
const LOOPBACK: readonly LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

/** How long answers are cached at most, whatever they say, and how long failures are. In milliseconds. */
const LONGEST_KEPT_MS = 10_000;
const FAILURE_KEPT_MS = 2_000;
/** No name is longer, a dot at its end included (RFC 1035, 2.3.4). P5: a redirect may lead to any. */
const LONGEST = 254;
/** At most this many names are cached. */
const MOST_KEPT = 10_000;

/** No answer came: the system's resolver would most likely wait for the same servers. */
const SILENT = new Set(["ETIMEOUT", "ECANCELLED"]);

interface Kept {
  readonly answer: Answer;
  readonly until: number;
}

/**
 * Finds the addresses of names as the system does, but so that no name waits for another: the hosts file, then DNS over
 * sockets, and the system's own resolver, which needs a thread for each name, for what DNS does not know.
 */
export class Names implements Disposable {
  readonly #hosts: WatchedFile<Hosts>;
  readonly #search: WatchedFile<SearchRules>;
  readonly #queries: QueryThread;
  readonly #system: SystemResolver;
  readonly #kept = new Map<string, Kept>();
  #rules: SearchRules;

  constructor(sources: NameSources = {}) {
    this.#hosts = new WatchedFile(sources.hostsFile ?? "/etc/hosts", parseHosts);
    this.#search = new WatchedFile(sources.resolvConf ?? "/etc/resolv.conf", (text) =>
      parseSearchRules(text, machineName()),
    );
    this.#queries = new QueryThread(sources.servers);
    this.#system = new SystemResolver(sources.lookupThreads, sources.lookup);
    this.#rules = this.#search.read(performance.now());
  }

  readonly resolve = (hostname: string, resolved: Resolved): void => {
    const answered = this.#answer(hostname).catch(asFailed);
    void answered.then((answer) => {
      switch (answer.kind) {
        case "found":
          return resolved(null, answer.addresses);
        case "unknown":
          return resolved(new UnresolvedName("ENOTFOUND"), []);
        case "failed":
          return resolved(new UnresolvedName(answer.code), []);
      }
    });
  };

  [Symbol.dispose](): void {
    this.#queries[Symbol.dispose]();
  }

  async #answer(hostname: string): Promise<Answer> {
    if (hostname.length > LONGEST) return { kind: "unknown" };
    if (LOCALHOST.test(hostname)) return { kind: "found", addresses: LOOPBACK, ttlMs: 0 };
    const now = performance.now();
    const inHosts = this.#hosts.read(now).get(hostname.replace(/\.$/, ""));
    if (inHosts !== undefined) return { kind: "found", addresses: inOrder(inHosts, ownIpv6), ttlMs: 0 };
    const kept = this.#kept.get(hostname);
    if (kept !== undefined && now < kept.until) return kept.answer;
    const answer = firstOf(await this.#ask(hostname, now));
    this.#keep(hostname, answer);
    return answer;
  }

  async #ask(hostname: string, now: number): Promise<Answer> {
    if (this.#system.knows(hostname, now)) {
      const known = await this.#system.ask(hostname, "known", clock);
      if (known.kind !== "unknown") return known;
    }
    const answer = await this.#askServers(hostname, now);
    switch (answer.kind) {
      case "found":
        return { ...answer, addresses: inOrder(answer.addresses, ownIpv6) };
      case "unknown":
        return this.#system.ask(hostname, "unknown", clock);
      case "failed":
        return this.#askInstead(hostname, answer);
    }
  }

  /** In place of servers that failed. Where these did not answer, and no thread is to be had, that is how the lookup ends. */
  async #askInstead(hostname: string, failed: Answer & { readonly kind: "failed" }): Promise<Answer> {
    const isSilent = SILENT.has(failed.code);
    const answer = await this.#system.ask(hostname, isSilent ? "silent" : "unknown", clock);
    return isSilent && answer.kind === "failed" && answer.code === NO_THREAD ? failed : answer;
  }

  /** Asks for each full name that `hostname` may stand for, until one is found, as glibc does. */
  async #askServers(hostname: string, now: number): Promise<Answer> {
    let failed: Answer | null = null;
    let isSearching = true;
    for (const name of candidates(hostname, this.#currentRules(now))) {
      // Where servers do not answer, the name as it is remains to be asked for.
      if (!isSearching && name !== hostname) continue;
      const answer = await this.#queries.ask(name);
      if (answer.kind === "found") return answer;
      if (answer.kind === "failed") failed = answer;
      if (answer.kind === "failed" && answer.code !== "ESERVFAIL") isSearching = false;
    }
    return failed ?? { kind: "unknown" };
  }

  /** Servers are named in the same file: when it has changed, others may be asked. */
  #currentRules(now: number): SearchRules {
    const rules = this.#search.read(now);
    if (rules !== this.#rules) this.#queries.renew();
    this.#rules = rules;
    return rules;
  }

  #keep(hostname: string, answer: Answer): void {
    this.#kept.delete(hostname);
    if (answer.kind === "failed" && isShortage(answer.code)) return;
    const keptMs = answer.kind === "found" ? Math.min(answer.ttlMs, LONGEST_KEPT_MS) : FAILURE_KEPT_MS;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MOST_KEPT) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(hostname, { answer, until: performance.now() + keptMs });
  }
}

/** What went wrong in a lookup ends that lookup, not the process. */
function asFailed(error: unknown): Answer {
  return { kind: "failed", code: error instanceof Error && "code" in error ? String(error.code) : "EAI_FAIL" };
}

function clock(): number {
  return performance.now();
}
