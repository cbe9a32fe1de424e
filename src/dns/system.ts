import { lookup as systemLookup } from "node:dns";
import type { Answer } from "./answer.ts";

/** Asks the system for all addresses of a name. Never rejects. */
export type Lookup = (hostname: string) => Promise<Answer>;

/** No thread is free: a shortage, see `base/shortage.ts`. */
export const NO_THREAD = "NO_THREAD";

/** How a name came to be asked for here. */
export type Standing =
  /** It was found here lately. */
  | "known"
  /** DNS does not know it, or could not be asked. */
  | "unknown"
  /** DNS servers did not answer when asked for it: most likely they do not answer the system, either. */
  | "silent";

/** How long a name that was found here stays known, in milliseconds, and how many names do. */
const KNOWN_MS = 10 * 60_000;
const MOST_KNOWN = 1_000;

/** Of libuv's threads getaddrinfo gets half; these are left to others, such as the driver that connects to the database. */
const LEFT_TO_OTHERS = 4;

/**
 * The system's own resolver, for what DNS does not know: modules of nsswitch.conf such as mDNS. It blocks a thread for each
 * name, for many seconds where servers do not answer, so it is the last resort, and no kind of names gets all threads.
 */
export class SystemResolver {
  readonly #lookup: Lookup;
  readonly #threads: Record<Standing, number>;
  readonly #known = new Map<string, number>();
  #running = 0;

  constructor(threads: number = getaddrinfoThreads(), lookup: Lookup = getaddrinfo) {
    this.#lookup = lookup;
    const known = Math.max(1, threads - LEFT_TO_OTHERS);
    this.#threads = { known, unknown: Math.ceil((known * 3) / 4), silent: Math.ceil(known / 4) };
  }

  /** True where `hostname` was found here lately. */
  knows(hostname: string, now: number): boolean {
    return now < (this.#known.get(hostname) ?? 0);
  }

  /** Fails with NO_THREAD, at once, where no thread is free for a name of this standing. */
  async ask(hostname: string, standing: Standing, now: () => number): Promise<Answer> {
    if (this.#running >= this.#threads[standing]) return { kind: "failed", code: NO_THREAD };
    this.#running++;
    const answer = await this.#lookup(hostname);
    this.#running--;
    this.#remember(hostname, answer, now());
    return answer;
  }

  #remember(hostname: string, answer: Answer, now: number): void {
    this.#known.delete(hostname);
    if (answer.kind !== "found") return;
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
    this.#known.set(hostname, now + KNOWN_MS);
  }
}

/** An answer of the system does not say for how long it is valid: as long as others are cached at most. */
const SYSTEM_TTL_MS = 10_000;

const getaddrinfo: Lookup = (hostname) =>
  new Promise((resolve) => {
    systemLookup(hostname, { all: true, order: "verbatim" }, (error, addresses) => {
      if (error === null) resolve({ kind: "found", addresses, ttlMs: SYSTEM_TTL_MS });
      else if (error.code === "ENOTFOUND") resolve({ kind: "unknown" });
      else resolve({ kind: "failed", code: error.code ?? "EAI_FAIL" });
    });
  });

/** libuv gives slow work half of its threads, of which it has four unless set otherwise. */
function getaddrinfoThreads(): number {
  const threads = Number(process.env["UV_THREADPOOL_SIZE"]);
  return Math.floor(((Number.isInteger(threads) && threads > 0 ? threads : 4) + 1) / 2);
}
