import type { Entry, Flight } from "../../src/sending/host.ts";
import { type AllPermits, HostScheduler, type Permits } from "../../src/sending/host-scheduler.ts";
import { requestOf } from "./http-peer.ts";

/** Nothing is held back. */
export const FREE: AllPermits = { isFree: () => true, hasSpare: () => true, tryTake: () => true };

interface HostsOptions {
  readonly total?: number;
  readonly perHost?: number;
  readonly bytes?: number;
  readonly perSecond?: number | "unlimited";
  readonly rateOf?: (host: string) => Permits | null;
  readonly hasAnswerRoom?: (host: string) => boolean;
}

export function open({
  total = 256,
  perHost = 64,
  bytes = 1e9,
  perSecond = 200,
  rateOf = () => null,
  hasAnswerRoom = () => true,
}: HostsOptions = {}): HostScheduler {
  return new HostScheduler({ total, perHost, bytes, largeFrom: bytes / 4, perSecond }, rateOf, hasAnswerRoom);
}

let id = 0n;
export function entryFor(host: string, { bytes = 100, lane = host } = {}): Entry {
  id += 1n;
  return { request: { ...requestOf(`http://${host}/`, { id }), bytes }, insertedBy: null, host, lane };
}

export function startAll(hosts: HostScheduler, now: number): Flight[] {
  const started: Flight[] = [];
  for (let one = hosts.start(FREE, now); one !== null; one = hosts.start(FREE, now)) started.push(one);
  return started;
}

/** Adds `count` entries and starts what may start; returns those started. */
export function fill(hosts: HostScheduler, host: string, count: number, { now = 0, bytes = 100 } = {}): Flight[] {
  for (let added = 0; added < count; added += 1) hosts.add(entryFor(host, { bytes }), now);
  return startAll(hosts, now);
}

export function finishAll(hosts: HostScheduler, flights: readonly Flight[], now: number, answered = true): void {
  for (const flight of flights) hosts.finish(flight, answered, now);
}

/** Shows that a host answers soon. */
export function makeResponsive(hosts: HostScheduler, host: string): void {
  finishAll(hosts, fill(hosts, host, 1), 5);
}
