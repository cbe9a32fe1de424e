import { setTimeout as delay } from "node:timers/promises";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { type FaultNetwork, startNetwork } from "../support/fault-network.ts";
import { peakMb } from "../support/resident.ts";
import type { Journal } from "./journal.ts";

/** A place for a daemon: its network, and one process after the other. */
export class DaemonSlot implements AsyncDisposable {
  readonly network: FaultNetwork;
  readonly #name: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #journal: Journal;
  readonly #processes: Daemon[] = [];
  #isExpectedToEnd = false;
  #isBusy = false;
  /** The most memory that one of its processes had, in megabytes. */
  peakMb = 0;
  /** Ends that nobody asked for. */
  readonly unexpected: string[] = [];

  private constructor(network: FaultNetwork, name: string, env: Readonly<Record<string, string>>, journal: Journal) {
    this.network = network;
    this.#name = name;
    this.#env = env;
    this.#journal = journal;
  }

  /** Starts the first process; `url` is the server's. */
  static async open(
    url: string,
    name: string,
    env: Readonly<Record<string, string>>,
    journal: Journal,
  ): Promise<DaemonSlot> {
    const slot = new DaemonSlot(await startNetwork(url), name, env, journal);
    await slot.#start();
    return slot;
  }

  get #process(): Daemon {
    const process = this.#processes.at(-1);
    if (process === undefined) throw new RangeError("there is no process");
    return process;
  }

  /** What all its processes logged. */
  log(): string {
    return this.#processes.map((process) => process.log()).join("\n-- the next process --\n");
  }

  /** Its state as `/readyz` has it; null where there is no answer. */
  async state(): Promise<string | null> {
    const signal = AbortSignal.timeout(1_000);
    const response = await fetch(`${this.#process.address}/readyz`, { signal }).catch(() => null);
    if (response === null) return null;
    return ((await response.json()) as { readonly state?: string }).state ?? null;
  }

  /** SIGKILL, and another process after `forMs`. */
  async kill(forMs: number): Promise<void> {
    await this.#replace(forMs, (process) => process.kill());
  }

  /** SIGTERM, and another process `forMs` after the end. */
  async stop(forMs: number): Promise<void> {
    await this.#replace(forMs, (process) => process.stop());
  }

  /** SIGSTOP, and SIGCONT after `forMs`. */
  async pause(forMs: number): Promise<void> {
    const process = this.#process;
    process.signal("SIGSTOP");
    await delay(forMs);
    process.signal("SIGCONT");
  }

  /** Ends the last process in order. */
  async finish(): Promise<void> {
    await this.#measure();
    this.#isExpectedToEnd = true;
    const { code, signal } = await this.#process.stop();
    if (code !== 0) this.unexpected.push(`${this.#name} was asked to stop and ended with ${signal ?? code}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isExpectedToEnd = true;
    await this.#process.kill();
    await this.network[Symbol.asyncDispose]();
  }

  async #replace(forMs: number, end: (process: Daemon) => Promise<unknown>): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#isExpectedToEnd = true;
    await this.#measure();
    await end(this.#process);
    await delay(forMs);
    await this.#start();
    this.#isBusy = false;
  }

  async #start(): Promise<void> {
    const process = await startDaemon({ databaseUrl: this.network.url, env: this.#env, waitUntilReady: false });
    this.#processes.push(process);
    this.#isExpectedToEnd = false;
    this.#journal.say(`${this.#name} is process ${process.pid}`);
    void process.ended.then(({ code, signal }) => {
      if (process !== this.#process || this.#isExpectedToEnd) return;
      this.unexpected.push(`${this.#name} ended by itself with ${signal ?? code}`);
    });
  }

  async #measure(): Promise<void> {
    const peak = await peakMb(this.#process.pid).catch(() => 0);
    this.peakMb = Math.max(this.peakMb, Number.isNaN(peak) ? 0 : peak);
  }
}
