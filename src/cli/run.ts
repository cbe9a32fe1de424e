import { isDeepStrictEqual } from "node:util";

import { systemClock } from "../base/clock.ts";
import { Coalesced } from "../base/coalesced.ts";
import { PgnetdError, toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { LoadedConfig } from "../config/load.ts";
import { databaseName } from "../config/database-url.ts";
import { Exposition } from "../metrics/exposition.ts";
import { HeartbeatMeter } from "../metrics/heartbeat.ts";
import { RequestMeter } from "../metrics/request-meter.ts";
import type { Meters } from "../metrics/sample.ts";
import { type Health, openHealthServer, type HealthServer } from "../ops/health.ts";
import { openPage, type Page } from "../page/page.ts";
import type { Refresh } from "../daemon/resources.ts";
import { serve, type Serving } from "./serving.ts";

/** What a run needs. */
export interface RunOptions {
  /** Reads the settings, at the start and at each `net.worker_restart()`. */
  readonly load: () => LoadedConfig;
  readonly log: Log;
  /** Ends it: what is in flight has `stop.graceMs` to end before it is cancelled and left to the next start. */
  readonly stop: AbortSignal;
  /** Given the daemon's health, to look at as it runs: for a command that shows progress. */
  readonly watched?: ((health: () => Health) => void) | undefined;
}

/** Any role may ask for restarts, at any rate; they are at least this far apart, in milliseconds. */
const RESTART_EVERY_MS = 5_000;

/**
 * Serves until `stop` fires. At a restart leadership is kept: where no setting has changed, connections are reopened; where one
 * has, a second daemon with the new settings takes over leadership from the first. Settings that cannot be used leave
 * those before in force.
 */
export async function run(options: RunOptions): Promise<void> {
  await new Service(options).run();
}

class Service {
  readonly #options: RunOptions;
  readonly #restarts: Coalesced;
  #refresh: Refresh | null = null;
  #current: Serving | null = null;
  /** What is to take over leadership. */
  #next: Serving | null = null;
  /** Whether what has ended is started again. */
  #isRenewed = false;
  readonly #exposition = new Exposition();
  /** By database: what was counted is kept when another daemon takes over. */
  readonly #meters = new Map<string, Meters>();
  #page: Page | null = null;
  #health: { readonly server: HealthServer; readonly settings: LoadedConfig["config"]["server"] } | null = null;
  /** The last change of the address: one begins when those before have ended. */
  #listening = Promise.resolve();

  constructor(options: RunOptions) {
    this.#options = options;
    const act = async (): Promise<void> => this.#restart();
    this.#restarts = new Coalesced({ act, everyMs: RESTART_EVERY_MS, clock: systemClock, signal: options.stop });
  }

  async run(): Promise<void> {
    const { load, watched } = this.#options;
    const loaded = load();
    try {
      this.#current = this.#serve(loaded, null);
      const { health } = this.#current.source;
      watched?.(() => this.#current?.source.health() ?? health());
      this.#page = this.#openPage(this.#current);
      await this.#listen(loaded);
      while (this.#current !== null) {
        const before: Serving = this.#current;
        await before.ended;
        this.#current = this.#next ?? this.#renewed(before);
        this.#next = null;
        if (!isDeepStrictEqual(this.#current?.loaded.config.page, before.loaded.config.page)) this.#page.endStreams();
      }
    } finally {
      await Promise.allSettled([this.#current?.end(), this.#next?.end()]);
      await this.#listening;
      this.#page?.[Symbol.dispose]();
      await this.#health?.server[Symbol.asyncDispose]();
    }
  }

  #serve(loaded: LoadedConfig, handover: (() => Promise<void>) | null): Serving {
    const restart = (refresh: Refresh): void => {
      this.#refresh = refresh;
      this.#restarts.ask();
    };
    const serving = serve({
      ...this.#options,
      loaded,
      meters: this.#metersOf(loaded),
      restart,
      renew: () => {
        this.#isRenewed = true;
        void serving.end();
      },
      handover,
    });
    return serving;
  }

  #metersOf({ config: { database, metrics } }: LoadedConfig): Meters {
    const name = databaseName(database.url);
    const known = this.#meters.get(name);
    if (known !== undefined) return known;
    const requests = new RequestMeter(metrics.hosts);
    const meters = { database: name, requests, heartbeats: new HeartbeatMeter() };
    this.#meters.set(name, meters);
    return meters;
  }

  #openPage(first: Serving): Page {
    const serving = (): Serving => this.#current ?? first;
    return openPage({
      settings: () => serving().loaded.config.page,
      source: () => ({ ...serving().source, meters: this.#metersOf(serving().loaded) }),
      log: this.#options.log,
    });
  }

  #renewed({ loaded }: Serving): Serving | null {
    if (!this.#isRenewed || this.#options.stop.aborted) return null;
    this.#isRenewed = false;
    return this.#serve(loaded, null);
  }

  async #restart(): Promise<void> {
    const { load, log } = this.#options;
    try {
      const loaded = load();
      if (this.#next !== null && (await this.#isOnItsWay(this.#next, loaded))) return;
      // Also where nothing has changed: others that were refused may have had another address, and the one before may have been taken.
      await this.#listen(loaded);
      if (await this.#refresh?.(loaded)) {
        log.info({}, "restart: the settings are unchanged; connections are reopened");
        return;
      }
      this.#takeOver(loaded);
    } catch (error) {
      log.error(reasonOf(error), "no restart: the settings before stay in force");
    }
  }

  /** True where what takes over will have these settings, or is doing so already; else it is given up. */
  async #isOnItsWay(next: Serving, loaded: LoadedConfig): Promise<boolean> {
    if (isDeepStrictEqual(loaded, next.loaded)) return true;
    if (next.isTakingOver) {
      this.#restarts.ask();
      return true;
    }
    this.#next = null;
    await next.end();
    return false;
  }

  #takeOver(loaded: LoadedConfig): void {
    const { log } = this.#options;
    const before = this.#current;
    log.info({}, "restart: the settings have changed; a daemon with the new ones takes over");
    const next = this.#serve(loaded, async () => {
      if (next !== this.#next && next !== this.#current) throw new Error("other settings are to be taken over");
      await before?.end();
    });
    this.#next = next;
    next.ended.catch((error: unknown) => {
      if (this.#next !== next || next.isTakingOver) return;
      this.#next = null;
      log.error(reasonOf(error), "no restart: the settings before stay in force");
      if (this.#current === null || this.#options.stop.aborted) return;
      this.#listen(this.#current.loaded).catch((failure: unknown) => {
        log.error(reasonOf(failure), "health is not served at the address before; trying again at the next restart");
      });
    });
  }

  /** Serves the health at the address in the settings; where that cannot be had, at the one before. */
  #listen({ config: { server } }: LoadedConfig): Promise<void> {
    const listening = this.#listening.then(async () => this.#move(server));
    this.#listening = listening.catch(() => undefined);
    return listening;
  }

  async #move(settings: LoadedConfig["config"]["server"]): Promise<void> {
    const before = this.#health;
    if (isDeepStrictEqual(settings, before?.settings)) return;
    // One port of all addresses cannot be had while the same port of one of them is open.
    const isSamePort = settings.port === before?.settings.port;
    if (isSamePort) {
      this.#health = null;
      await before?.server[Symbol.asyncDispose]();
    }
    try {
      await this.#open(settings);
    } catch (error) {
      if (isSamePort && before !== null) await this.#open(before.settings);
      throw error;
    }
    if (!isSamePort) await before?.server[Symbol.asyncDispose]();
  }

  async #open(settings: LoadedConfig["config"]["server"]): Promise<void> {
    const source = this.#current?.source;
    if (source === undefined) return;
    const server = await openHealthServer({
      ...settings,
      health: () => (this.#current?.source ?? source).health(),
      asked: () => this.#current?.source.asked(),
      metrics: () => this.#exposition.scrape(async () => [await (this.#current?.source ?? source).sample()]),
      page: async (request, response) => (await this.#page?.handle(request, response)) ?? false,
    });
    this.#health = { server, settings };
    this.#options.log.info({ host: settings.host, port: server.port }, "health is served");
  }
}

function reasonOf(error: unknown): { readonly reason: string; readonly hint?: string } {
  const reason = toError(error).message;
  return error instanceof PgnetdError ? { reason, hint: error.hint } : { reason };
}
