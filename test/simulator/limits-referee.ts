import type { Limits, Sent } from "./referee.ts";
import type { HostRow } from "./server/server.ts";
import { type Process, virtualNow } from "./virtual-time.ts";

/** What a process knows of the settings of hosts. */
interface KnownHosts {
  readonly hosts: ReadonlyMap<string, HostRow>;
  /** When the server said so. */
  readonly at: number;
}

/** What one process does with one host. */
interface HostUse {
  inFlight: number;
  /** Starts under the rate that it has now. */
  starts: number[];
  rate: number | null;
}

/** P5, P7: holds what daemons do against their limits. */
export class LimitsReferee {
  readonly #limits: Limits;
  readonly #harm: (what: string) => void;
  /** Starts that count. */
  readonly #starts: number[] = [];
  readonly #inFlight = new Map<Process, number>();
  /** Processes that have started a request in their present leadership. */
  readonly #hasStarted = new Set<Process>();
  readonly #known = new Map<Process, KnownHosts>();
  readonly #uses = new Map<Process, Map<string, HostUse>>();

  #faultAt = 0;

  constructor(limits: Limits, harm: (what: string) => void) {
    this.#limits = limits;
    this.#harm = harm;
  }

  /** Something happened that may have its effect until `until`. */
  fault(until: number): void {
    this.#faultAt = Math.max(this.#faultAt, until);
  }

  leads(process: Process): void {
    this.#hasStarted.delete(process);
    for (const use of this.#uses.get(process)?.values() ?? []) use.starts = [];
  }

  hostsRead(process: Process, hosts: ReadonlyMap<string, HostRow>, at: number): void {
    this.#known.set(process, { hosts, at });
  }

  lanesReported(process: Process, lanes: readonly string[], queued: readonly number[]): void {
    for (const [index, lane] of lanes.entries()) {
      if ((queued[index] ?? 0) <= this.#limits.perLane) continue;
      this.#harm(`P5: ${process.name} has ${queued[index]} requests of lane ${lane} queued`);
    }
  }

  loaded(process: Process, load: number): void {
    if (load > this.#limits.memoryRequests) this.#harm(`P5: ${process.name} has ${load} requests in memory`);
  }

  /** A request starts; `leadSince` is null where the lock is not held, `isExcused` after a session was ended by the server. */
  started(sent: Sent, leadSince: number | null, isExcused: boolean): void {
    const { process } = sent;
    const isFirst = !this.#hasStarted.has(process);
    this.#hasStarted.add(process);
    const inFlight = (this.#inFlight.get(process) ?? 0) + 1;
    this.#inFlight.set(process, inFlight);
    if (inFlight > this.#limits.concurrency) this.#harm(`${inFlight} requests are in flight`);
    if (!isFirst && !isExcused) this.#judgeRate();
    this.#judgeHost(sent, leadSince);
  }

  /** P7: over any second. The first start of a leadership goes at once, whatever the one before has sent: it does not count. */
  #judgeRate(): void {
    const { perSecond } = this.#limits;
    if (perSecond === "unlimited") return;
    const now = virtualNow();
    const before = this.#starts[this.#starts.length - perSecond];
    if (before !== undefined && now - before < 1_000) this.#harm(`P7: more than ${perSecond} requests in a second`);
    this.#starts.push(now);
  }

  #judgeHost({ process, host }: Sent, leadSince: number | null): void {
    const known = this.#known.get(process);
    // Where they cannot be read, those before stay in force.
    const isOld = known !== undefined && leadSince !== null && known.at < leadSince && this.#faultAt < leadSince;
    if (known === undefined || isOld) {
      this.#harm(`P7: ${process.name} starts a request before it has read the settings of hosts`);
    }
    const settings = known?.hosts.get(host);
    if (settings?.paused === true) this.#harm(`P7: a request is sent to ${host}, which is paused`);
    const use = this.#use(process, host);
    use.inFlight++;
    const most = settings?.concurrency ?? this.#limits.perHost;
    if (use.inFlight > most) this.#harm(`P7: ${use.inFlight} requests to ${host} are in flight, not ${most}`);
    this.#judgeHostRate(host, use, settings?.rate_per_second ?? null);
  }

  #judgeHostRate(host: string, use: HostUse, rate: number | null): void {
    if (rate !== use.rate) Object.assign(use, { rate, starts: [] });
    const now = virtualNow();
    const before = rate === null ? undefined : use.starts[use.starts.length - rate];
    if (before !== undefined && now - before < 1_000)
      this.#harm(`P7: more than ${rate} requests to ${host} in a second`);
    use.starts.push(now);
  }

  #use(process: Process, host: string): HostUse {
    let uses = this.#uses.get(process);
    if (uses === undefined) this.#uses.set(process, (uses = new Map<string, HostUse>()));
    let use = uses.get(host);
    if (use === undefined) uses.set(host, (use = { inFlight: 0, starts: [], rate: null }));
    return use;
  }

  ended({ process, host }: Sent): void {
    this.#inFlight.set(process, (this.#inFlight.get(process) ?? 1) - 1);
    this.#use(process, host).inFlight--;
  }
}
