import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../demo/free-port.ts";
import { startGuard } from "../../demo/guard.ts";
import { COMPILE_CACHE } from "./compile-cache.ts";
import { DEADLINE_MS, eventually } from "./eventually.ts";
import { SLOT_PLUGIN } from "./slot-plugin.ts";

const ROOT = join(import.meta.dirname, "../..");
const STOP_MS = 30_000;

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A pgnetd running as a process of its own. Closing it stops it, by force in the end. */
export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  /** `http://127.0.0.1:port` of its health endpoints. */
  readonly address: string;
  /** Everything it wrote so far, standard output and error together. */
  log(): string;
  /** Its log lines, parsed; lines that are not JSON are left out. */
  events(): readonly Readonly<Record<string, unknown>>[];
  /** Resolves when /readyz says 200; rejects with the log when the process ends before. */
  ready(withinMs?: number): Promise<void>;
  /** Resolves when it streams: messages and changes of settings from then on reach it at once. */
  live(withinMs?: number): Promise<void>;
  /** SIGTERM and its end; SIGKILL where it takes longer than 30 s. */
  stop(): Promise<Ended>;
  /** SIGKILL and its end. */
  kill(): Promise<Ended>;
  /** Sends any signal, such as SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<Ended>;
}

/** Options of `startDaemon`. */
export interface DaemonOptions {
  readonly databaseUrl: string;
  /** On top of what is always set: loopback allowed, a free port, JSON logs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments after `run`. */
  readonly args?: readonly string[];
  /** False returns as soon as the process exists. Default true: waits until it is ready. */
  readonly waitUntilReady?: boolean;
}

/** Starts `pgnetd run` as a process and waits until it is ready. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-daemon-"));
  const guard = startGuard(folder);
  const child = spawn(process.execPath, [join(ROOT, "src/cli/main.ts"), "run", ...(options.args ?? [])], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: folder,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      DATABASE_URL: options.databaseUrl,
      PGNETD_PORT: String(port),
      PGNETD_ALLOW_NETWORKS: "127.0.0.0/8,::1/128",
      PGNETD_SLOT_PLUGIN: SLOT_PLUGIN,
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  guard.watch(child.pid ?? null);
  const daemon = new DaemonProcess(child, `http://127.0.0.1:${port}`, async () => {
    await guard[Symbol.asyncDispose]();
  });
  if (options.waitUntilReady !== false) {
    try {
      await daemon.ready();
    } catch (error) {
      await daemon.kill();
      throw error;
    }
  }
  return daemon;
}

class DaemonProcess implements Daemon {
  readonly address: string;
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #release: () => Promise<void>;
  #log = "";
  #end: Ended | undefined;

  constructor(child: ChildProcess, address: string, release: () => Promise<void>) {
    this.#child = child;
    this.address = address;
    this.#release = release;
    child.stdout?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#end = { code, signal };
        void this.#release().then(() => resolve({ code, signal }));
      };
      child.once("error", () => end(null, null));
      child.once("close", end);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  log(): string {
    return this.#log;
  }

  events(): readonly Readonly<Record<string, unknown>>[] {
    const lines = this.#log.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
    return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  }

  async ready(withinMs = DEADLINE_MS): Promise<void> {
    let verdict = "no answer";
    const seen = eventually(async () => {
      if (this.#end !== undefined) return true;
      const response = await fetch(`${this.address}/readyz`).catch(() => undefined);
      if (response !== undefined) verdict = `${response.status} ${await response.text()}`;
      return response?.status === 200;
    }, withinMs);
    await seen.catch(() => {
      throw new Error(`pgnetd was not ready within ${withinMs} ms: ${verdict}\n${this.#log}`);
    });
    if (this.#end !== undefined)
      throw new Error(`pgnetd ended with ${this.#end.signal ?? this.#end.code}\n${this.#log}`);
  }

  async live(withinMs = DEADLINE_MS): Promise<void> {
    await eventually(async () => {
      const health = (await (await fetch(`${this.address}/readyz`)).json()) as { readonly state?: string };
      return health.state === "live";
    }, withinMs);
  }

  async stop(): Promise<Ended> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  async kill(): Promise<Ended> {
    this.#child.kill("SIGKILL");
    return this.ended;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGCONT");
    await this.stop();
  }
}
