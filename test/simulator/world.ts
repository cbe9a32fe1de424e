import type { LoadedConfig } from "../../src/config/load.ts";
import { setServer } from "./client.ts";
import { Destinations, type HostBehaviour, setDestinations } from "./destinations.ts";
import { DaemonProcess, type Listen } from "./process.ts";
import { Random, subSeed } from "./random.ts";
import { type Limits, Referee } from "./referee.ts";
import type { Session } from "./server/session.ts";
import { Slot } from "./server/slot.ts";
import { Server, type ServerProfile } from "./server/server.ts";
import { type Act, disturbsMs } from "./steps.ts";
import { after, resetTime, virtualNow } from "./virtual-time.ts";
import { UserActs } from "./user-acts.ts";

/** What a world is made of. */
export interface WorldOptions {
  readonly seed: number;
  readonly profile: ServerProfile;
  readonly hosts: Readonly<Record<string, HostBehaviour>>;
  readonly loaded: LoadedConfig;
  readonly daemons: number;
  readonly hasSlot: boolean;
  readonly limits: Limits;
  readonly listen: Listen | null;
}

/** A server, daemons and destinations, and what can happen to them. */
export class World {
  readonly server: Server;
  readonly referee: Referee;
  readonly destinations: Destinations;
  readonly processes: DaemonProcess[] = [];
  readonly #options: WorldOptions;
  readonly #users: UserActs;
  #born = 0;

  constructor(options: WorldOptions) {
    resetTime(subSeed(options.seed, 3));
    this.#options = options;
    const { seed, profile, hosts, loaded, limits } = options;
    this.server = new Server(profile, new Random(subSeed(seed, 1)));
    this.referee = new Referee(this.server, limits);
    this.referee.trace = options.listen;
    const behaviours = new Map(Object.entries(hosts).map(([name, host]) => [name, { ...host }]));
    this.destinations = new Destinations(
      behaviours,
      this.referee,
      new Random(subSeed(seed, 2)),
      loaded.config.http.maxTimeoutMs,
    );
    this.server.hangs = () =>
      [...this.destinations.hosts.values()].some(({ answersMs }) => answersMs === null || answersMs > 100);
    this.#users = new UserActs(this.server, this.referee);
    if (options.hasSlot) this.server.slot = new Slot(this.server.database.insertLsn, false);
    setServer(this.server.connect);
    setDestinations(this.destinations);
    for (let count = 0; count < options.daemons; count++) after(count * 20, null, () => this.#start());
  }

  #start(): void {
    this.#born++;
    this.processes.push(new DaemonProcess(`daemon ${this.#born}`, this.#options.loaded, this.#options.listen));
  }

  /** Those that run. */
  get running(): readonly DaemonProcess[] {
    return this.processes.filter(({ isDead, ended }) => !isDead && ended === null);
  }

  /** Lets `act` happen. */
  act(act: Act): void {
    const ms = disturbsMs(act);
    if (ms > 0) this.referee.disturbed(virtualNow() + ms);
    const { server, destinations } = this;
    switch (act.kind) {
      case "insert":
      case "elsewhere":
      case "cancel":
      case "truncate":
      case "settings":
      case "wake":
      case "restart":
        return this.#users.act(act);
      case "host": {
        const host = destinations.hosts.get(act.host);
        if (host !== undefined) Object.assign(host, { answersMs: act.answersMs, refuses: act.refuses });
        return;
      }
      case "reset":
        for (const { link } of this.#sessions(act.what, act.which)) link.reset();
        return;
      case "stall":
        for (const session of this.#sessions(act.what, act.which)) {
          session.link.stall(act.ms);
          if (act.ms > 5_000) session.notHeard();
        }
        return;
      case "lose answers":
        server.answersToLose = act.count;
        return;
      case "writes fail":
        server.writesFail = act.sqlstate;
        after(act.ms, null, () => {
          server.writesFail = null;
        });
        return;
      case "reads fail":
        server.readsFail = "58030";
        after(act.ms, null, () => {
          server.readsFail = null;
        });
        return;
      case "lose slot":
        return this.#loseSlot(act.how);
      case "publication":
        server.published++;
        server.publishedFrom = server.database.insertLsn;
        return;
      case "stop server":
        server.stop(act.ms);
        server.database.loseCommits(0, false);
        this.#afterLoss();
        return;
      case "failover":
        server.stop(act.ms);
        server.database.loseCommits(act.lost, true);
        server.slot = null;
        return;
      case "kill":
        return this.#kill(act.which, act.restartMs);
      case "stop":
        this.#pick(act.which)?.stop();
        after(act.restartMs, null, () => this.#start());
        return;
      case "pause":
        return this.#pick(act.which)?.pause(act.ms);
      case "shortage":
        destinations.shortUntil = virtualNow() + act.ms;
        return;
    }
  }

  #pick(which: number): DaemonProcess | undefined {
    const { running } = this;
    return running[which % Math.max(1, running.length)];
  }

  #sessions(what: "stream" | "pool" | "all", which: number): readonly Session[] {
    const process = this.#pick(which);
    if (process === undefined) return [];
    const isLeader = ({ application }: Session): boolean => application.includes("leader");
    return this.server.sessionsOf(process).filter((one) => what === "all" || isLeader(one) === (what === "stream"));
  }

  #kill(which: number, restartMs: number): void {
    const process = this.#pick(which);
    if (process === undefined) return;
    process.isDead = true;
    for (const link of this.server.links) if (link.owner === process) link.reset();
    after(restartMs, null, () => this.#start());
  }

  #loseSlot(how: "dropped" | "invalidated"): void {
    const { slot } = this.server;
    if (slot === null) return;
    slot.active?.terminate();
    if (how === "dropped") this.server.slot = null;
    else slot.walStatus = "lost";
  }

  /** A slot's position is on disk from time to time alone. */
  #afterLoss(): void {
    const { slot, database } = this.server;
    if (slot === null) return;
    slot.confirmed = slot.persisted < database.flushedLsn ? slot.persisted : database.flushedLsn;
  }

  /** Ends all faults, so that everything can end; at least one daemon runs. */
  heal(): void {
    const { server, destinations } = this;
    server.answersToLose = 0;
    server.writesFail = null;
    server.readsFail = null;
    server.downUntil = 0;
    destinations.shortUntil = 0;
    this.referee.disturbed(virtualNow());
    for (const host of destinations.hosts.values()) Object.assign(host, { answersMs: 5, refuses: false });
    for (const link of server.links) if (link.isStalled) link.reset();
    this.#users.finish();
    if (this.running.length === 0) this.#start();
  }

  /** Nothing is paused any more; once what users began has ended. */
  unpause(): void {
    this.#users.unpause();
  }
}
