import type { Log } from "../../src/base/log.ts";
import { readConfig } from "../../src/config/load.ts";
import { run } from "../../src/cli/run.ts";
import { freePort } from "../../demo/free-port.ts";
import { eventually } from "./eventually.ts";
import { SLOT_PLUGIN } from "./slot-plugin.ts";

/** A daemon inside the test's process. Closing it stops it gracefully. */
export interface InProcessDaemon extends AsyncDisposable {
  readonly address: string;
  /** Log lines so far. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Ends intake and resolves when everything in flight is written. */
  stop(): Promise<void>;
}

/** Starts the daemon against `databaseUrl` and waits until it is in `state`; loopback is allowed. */
export async function startInProcess(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
  state: "live" | "polling" | "standby" | "starting" = "live",
): Promise<InProcessDaemon> {
  const port = await freePort();
  const lines: Readonly<Record<string, unknown>>[] = [];
  const say = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    lines.push({ ...fields, message });
  };
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const stop = new AbortController();
  const loaded = readConfig({
    env: {
      DATABASE_URL: databaseUrl,
      PGNETD_HOST: "127.0.0.1",
      PGNETD_PORT: String(port),
      PGNETD_ALLOW_NETWORKS: "127.0.0.0/8,::1/128",
      PGNETD_SLOT_PLUGIN: SLOT_PLUGIN,
      PGNETD_GRACE_MS: "5000",
      ...env,
    },
  });
  const ended = run({ load: () => loaded, log, stop: stop.signal });
  ended.catch(() => undefined);
  const address = `http://127.0.0.1:${port}`;
  const running: InProcessDaemon = {
    address,
    lines,
    async stop() {
      stop.abort();
      await ended;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended.catch(() => undefined);
    },
  };
  const early: Promise<never> = ended.then(() => {
    throw new Error(`the daemon ended before it was live: ${JSON.stringify(lines)}`);
  });
  await Promise.race([early, until(state, address)]);
  return running;
}

async function until(state: string, address: string): Promise<void> {
  await eventually(async () => {
    const health = (await (await fetch(`${address}/readyz`)).json()) as { state?: string };
    return health.state === state;
  });
}

/** Lanes that are behind, as `/readyz` shows it. */
export async function lanesBehind({ address }: InProcessDaemon): Promise<unknown> {
  return ((await (await fetch(`${address}/readyz`)).json()) as { lanesBehind: unknown }).lanesBehind;
}
