import { Worker } from "node:worker_threads";
import type { Answer } from "./answer.ts";

/** What the thread is asked: a name, or null where servers may be others from here on. */
export interface Query {
  readonly id: number;
  readonly name: string | null;
}

/** What it answers. */
export interface Reply {
  readonly id: number;
  readonly answer: Answer;
}

/** What it starts with. */
export interface QueryThreadData {
  readonly servers: readonly string[] | undefined;
}

/** Memory for some ten thousand names at once; Node ends a thread that needs more. */
const LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

/**
 * P6: asks DNS servers in a thread of its own, started with the first name: an answer may have 64 KB, which take the library some
 * 20 ms, in which this thread would send and receive nothing. The thread is renewed where it ended.
 */
export class QueryThread implements Disposable {
  readonly #data: QueryThreadData;
  readonly #asked = new Map<number, PromiseWithResolvers<Answer>>();
  #worker: Worker | null = null;
  #lastId = 0;

  /** `servers` are those of the system where they are not given. */
  constructor(servers?: readonly string[]) {
    this.#data = { servers };
  }

  /** IPv4 and IPv6 addresses of `name`. Rejects, with the code of Node's error, where no thread can be had. */
  async ask(name: string): Promise<Answer> {
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastId;
    const asked = Promise.withResolvers<Answer>();
    this.#asked.set(id, asked);
    worker.ref();
    worker.postMessage({ id, name } satisfies Query);
    return asked.promise;
  }

  /** Servers may be others now: what is asked from here on goes to those of the system as it is then. */
  renew(): void {
    this.#worker?.postMessage({ id: 0, name: null } satisfies Query);
  }

  [Symbol.dispose](): void {
    void this.#worker?.terminate();
    this.#worker = null;
    this.#end((asked) => asked.resolve({ kind: "failed", code: "ECANCELLED" }));
  }

  #start(): Worker {
    const worker = new Worker(new URL("query-worker.ts", import.meta.url), {
      name: "dns",
      workerData: this.#data,
      resourceLimits: LIMITS,
    });
    worker.on("message", ({ id, answer }: Reply) => {
      this.#asked.get(id)?.resolve(answer);
      this.#asked.delete(id);
      // A process that waits for no name need not go on for this thread.
      if (this.#asked.size === 0) worker.unref();
    });
    worker.on("error", (error) => {
      if (this.#worker === worker) this.#worker = null;
      this.#end((asked) => asked.reject(error));
    });
    return worker;
  }

  #end(end: (asked: PromiseWithResolvers<Answer>) => void): void {
    const ended = [...this.#asked.values()];
    this.#asked.clear();
    for (const asked of ended) end(asked);
  }
}
