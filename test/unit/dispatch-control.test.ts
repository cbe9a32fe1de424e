import { describe, expect, it, test } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { Control } from "../../src/dispatch/control.ts";
import type { HostSettings } from "../../src/outbox/host-settings.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";
import { silentLog as log } from "../support/silent-log.ts";

const TABLE = "net.http_host_settings";
const quiet = (): void => undefined;

function settings(concurrency: number): ReadonlyMap<string, HostSettings> {
  return new Map([["example.com", { ratePerSecond: null, concurrency, paused: false }]]);
}

/** A control whose table answers with `answers` in turn, and then with the last one. */
function startControl(
  answers: readonly (ReadonlyMap<string, HostSettings> | Error)[],
  identify: () => Promise<void> = async () => undefined,
): {
  readonly control: Control;
  readonly clock: FakeClock;
  readonly inForce: unknown[];
  /** Whether they were the latest, each time. */
  readonly latest: boolean[];
  readonly reads: string[];
  /** How many settings were in force when the rates were counted as spent, each time. */
  readonly spent: number[];
  readonly stop: () => Promise<void>;
  readonly ended: Promise<void>;
} {
  const clock = new FakeClock();
  const inForce: unknown[] = [];
  const left = [...answers];
  const readHosts = async (): Promise<ReadonlyMap<string, HostSettings>> => {
    const answer = left.length > 1 ? left.shift() : left[0];
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nothing to read");
    return answer;
  };
  const latest: boolean[] = [];
  const configureHosts = (hosts: ReadonlyMap<string, HostSettings>, isLatest: boolean): void => {
    latest.push(isLatest);
    inForce.push(hosts.get("example.com")?.concurrency ?? null);
  };
  const reads: string[] = [];
  const spent: number[] = [];
  const control = new Control({
    identify,
    readHosts,
    configureHosts,
    assumeSpent: () => spent.push(inForce.length),
    restart: quiet,
    readOutbox: (when) => reads.push(when),
    clock,
    log,
  });
  const end = new AbortController();
  const ended = control.run(end.signal);
  const stop = async (): Promise<void> => {
    end.abort();
    await ended;
  };
  ended.catch(quiet);
  return { control, clock, inForce, latest, reads, spent, stop, ended };
}

it("heartbeats of before a new stream are forgotten, since it does not bring them", async () => {
  let forgotten = 0;
  const heartbeat = { received: () => false, forget: () => void (forgotten += 1) };
  const control = new Control({
    identify: async () => undefined,
    readHosts: async () => new Map(),
    configureHosts: quiet,
    assumeSpent: quiet,
    restart: quiet,
    heartbeat,
    readOutbox: quiet,
    clock: new FakeClock(),
    log,
  });
  control.polled();
  expect(forgotten).toBe(0);
  control.streaming();
  expect(forgotten).toBe(1);
});

describe("control messages", () => {
  it("of anybody, however many, are reported periodically, and only known words of them", () => {
    const clock = new FakeClock();
    const told: object[] = [];
    const info = (fields: object): void => void told.push(fields);
    let restarts = 0;
    const control = new Control({
      identify: async () => undefined,
      readHosts: async () => new Map(),
      configureHosts: quiet,
      assumeSpent: quiet,
      restart: () => void restarts++,
      readOutbox: quiet,
      clock,
      log: { ...log, info },
    });
    const forged = [`{"command":"${"x".repeat(100_000_000)}"}`, '{"command":"see ]8;;http://h","restart":1}', "{", ""];
    for (const message of ['{"command":"wake"}', ...forged, '{"command":"restart"}']) control.message(message);
    clock.advance(10_000);
    control.message("{");
    expect(told).toEqual([
      { command: "wake", messages: 1 },
      { command: "unknown", messages: 6 },
    ]);
    expect(restarts).toBe(1);
  });
});

test("net.wake() has the outbox read when its transaction is visible, and at once, but at most once a second", async () => {
  const { control, clock, reads, stop } = startControl([settings(1)]);
  const wake = (): void => control.message('{"command":"wake"}');
  wake();
  wake();
  await turn();
  expect(reads.splice(0)).toEqual(["visible", "some time", "now"]);
  wake();
  wake();
  clock.advance(999);
  await turn();
  expect(reads.splice(0)).toEqual(["some time", "some time"]);
  clock.advance(1);
  await turn();
  expect(reads.splice(0)).toEqual(["now"]);
  wake();
  clock.advance(1_000);
  await turn();
  expect(reads.splice(0)).toEqual(["some time", "now"]);
  clock.advance(10_000);
  await turn();
  wake();
  await turn();
  expect(reads.splice(0)).toEqual(["visible", "now"]);
  await stop();
});

describe("settings of hosts", () => {
  it("are read again after a change, since its commit may be streamed before it is visible", async () => {
    const { control, clock, inForce, stop } = startControl([1, 2, 3, 4].map(settings));
    control.changed(TABLE);
    await turn();
    expect(inForce).toEqual([1]);
    for (const ms of [3, 30, 1_000, 3_600_000]) {
      clock.advance(ms);
      await turn();
    }
    expect(inForce).toEqual([1, 2, 3, 4]);
    await stop();
  });

  it("are read again also after a change that came between two readings", async () => {
    const { control, clock, inForce, stop } = startControl([settings(1), settings(1), settings(2)]);
    control.changed(TABLE);
    await turn();
    clock.advance(20);
    control.changed(TABLE);
    await turn();
    expect(inForce).toEqual([1, 1]);
    clock.advance(30);
    await turn();
    expect(inForce).toEqual([1, 1, 2]);
    await stop();
  });

  it("P7: are not in force, not even as none, before they could be read", async () => {
    const { control, clock, inForce, stop } = startControl([new Error("no right"), new Error("no right"), settings(1)]);
    control.leading();
    await turn();
    clock.advance(30);
    await turn();
    expect(inForce).toEqual([]);
    clock.advance(1_000);
    await turn();
    expect(inForce).toEqual([1]);
    await stop();
  });

  it("P7: follow on rates that count as spent at the start of each leadership, and at nothing else", async () => {
    const { control, spent, inForce, stop } = startControl([settings(1)]);
    for (let leadership = 0; leadership < 2; leadership++) {
      control.leading();
      await turn();
      control.streaming();
      await turn();
      control.refresh();
      await turn();
    }
    expect([spent, inForce.length]).toEqual([[0, 3], 6]);
    await stop();
  });

  it("are in force in a new lead only when the database was identified in it, whatever was being read before", async () => {
    const seen = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let identified = 0;
    const { control, clock, inForce, stop } = startControl([settings(1)], async () => seen[identified++]?.promise);
    control.leading();
    await turn();
    control.leading();
    seen[0]?.resolve();
    await turn();
    expect({ identified, inForce }).toEqual({ identified: 2, inForce: [] });
    seen[1]?.reject(new Error("no connection"));
    await turn();
    expect(inForce).toEqual([]);
    clock.advance(1_000);
    await turn();
    expect({ identified, inForce }).toEqual({ identified: 3, inForce: [1] });
    await stop();
  });

  it("follow on a database that is identified once more where a refresh came while it was being identified", async () => {
    const seen = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let identified = 0;
    const { control, inForce, stop } = startControl([settings(1)], async () => seen[identified++]?.promise);
    control.leading();
    await turn();
    control.refresh();
    seen[0]?.resolve();
    await turn();
    expect({ identified, inForce }).toEqual({ identified: 2, inForce: [] });
    seen[1]?.resolve();
    await turn();
    expect({ identified, inForce }).toEqual({ identified: 2, inForce: [1] });
    await stop();
  });

  it("P7: are not the latest where they were changed while they were read, and are read again at once", async () => {
    const seen = Promise.withResolvers<void>();
    const { control, latest, stop } = startControl([settings(1)], async () => seen.promise);
    control.leading();
    await turn();
    control.changed(TABLE);
    seen.resolve();
    await turn();
    expect(latest).toEqual([false, true]);
    await stop();
  });

  it("are not read in a database that is another environment's: that ends the daemon", async () => {
    const other = new PgnetdError("WRONG_ENVIRONMENT", "recorded for another");
    const { control, inForce, ended } = startControl([settings(1)], async () => Promise.reject(other));
    control.leading();
    await expect(ended).rejects.toBe(other);
    expect(inForce).toEqual([]);
  });

  it("P8: that cannot be read stay as they are, and are tried again each second until they can", async () => {
    const failure = new Error("no connection");
    const { control, clock, inForce, stop } = startControl([settings(1), failure, failure, failure, settings(2)]);
    control.leading();
    await turn();
    for (const ms of [30, 999, 1, 999, 1, 999, 1, 3_600_000]) {
      clock.advance(ms);
      await turn();
    }
    expect(inForce).toEqual([1, 1, 1, 1, 2]);
    await stop();
  });
});
