import { setTimeout as delay } from "node:timers/promises";
import { Random, subSeed } from "../simulator/random.ts";
import { type Behaviour, type Received, type Receiver, startReceiver } from "../support/receiver.ts";
import { LARGEST_ANSWER } from "./settings.ts";
import type { Misconduct } from "./steps.ts";

/** One request that came. */
export interface Arrival {
  readonly key: number;
  readonly destination: number;
  /** When its head had arrived, in milliseconds since the epoch. */
  readonly at: number;
  /** When its answer goes out, or its connection ends; null where neither happens. */
  readonly answeredAt: number | null;
  readonly method: string;
  readonly conduct: Misconduct | "answer" | "fails";
  readonly idempotencyKey: string | null;
  readonly bodyBytes: number;
}

/** The receivers of a run, each on a host of its own. */
export interface Destinations extends AsyncDisposable {
  readonly arrivals: readonly Arrival[];
  host(destination: number): string;
  /** Url of the request with `key`, without the key. */
  prefix(destination: number): string;
  /** For `forMs` a share of requests is treated so. */
  misbehave(destination: number, conduct: Misconduct, share: number, forMs: number): Promise<void>;
}

interface Bad {
  readonly conduct: Misconduct;
  readonly share: number;
}

const LATE_MS = 700;
/** Everything within is read as no HTTP. */
const GARBAGE = "HTTP/1.1 2\u00ff0 \r\n\0\r\n\r\nno answer";

/** Starts `count` receivers, which answer after `answersMs`. */
export async function startDestinations(count: number, answersMs: number, seed: number): Promise<Destinations> {
  await using made = new AsyncDisposableStack();
  const arrivals: Arrival[] = [];
  const seen = new Map<number, number>();
  const random = new Random(subSeed(seed, 1));
  const receivers: Receiver[] = [];
  const bad: Set<Bad>[] = [];
  for (let index = 0; index < count; index++) {
    const receiver = made.use(await startReceiver({ host: `127.0.0.${index + 1}` }));
    const conducts = new Set<Bad>();
    receivers.push(receiver);
    bad.push(conducts);
    receiver.behave((request) => {
      const { pathname, searchParams } = new URL(request.path, "http://receiver");
      const key = Number(pathname.slice(1));
      const nth = (seen.get(key) ?? 0) + 1;
      seen.set(key, nth);
      const picked = [...conducts].find(({ share }) => random.chance(share))?.conduct;
      const conduct = picked ?? (nth <= Number(searchParams.get("fail") ?? 0) ? "fails" : "answer");
      const behaviour = behaviourOf(conduct, key, answersMs);
      arrivals.push({ ...arrivalOf(request, behaviour), key, destination: index, conduct });
      return behaviour;
    });
  }
  const receiver = (index: number): Receiver => {
    const one = receivers[index];
    if (one === undefined) throw new RangeError(`there is no destination ${index}`);
    return one;
  };
  const all = made.move();
  return {
    arrivals,
    host: (destination) => `127.0.0.${destination + 1}`,
    prefix: (destination) => receiver(destination).url("/"),
    async misbehave(destination, conduct, share, forMs) {
      if (conduct === "refuse") {
        await receiver(destination).down();
        await delay(forMs);
        await receiver(destination).listen();
        return;
      }
      const one = { conduct, share };
      bad[destination]?.add(one);
      await delay(forMs);
      bad[destination]?.delete(one);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** What a good answer to the request with `key` says. */
export function answerTo(key: number): string {
  return `answer ${key}.`;
}

function behaviourOf(conduct: Arrival["conduct"], key: number, delayMs: number): Behaviour {
  const body = answerTo(key);
  switch (conduct) {
    case "answer":
      return { kind: "answer", delayMs, body };
    case "fails":
    case "busy":
      return { kind: "answer", delayMs, status: 503, body };
    case "late":
      return { kind: "answer", delayMs: delayMs + LATE_MS, body };
    case "large answer":
      return { kind: "answer", body: body.padEnd(LARGEST_ANSWER, "-") };
    case "garbage":
      return { kind: "raw", bytes: GARBAGE };
    case "slow":
      return { kind: "slow", chunks: 20, everyMs: 50 };
    case "hang":
    case "refuse":
      return { kind: "hang" };
    case "lose":
    case "reset":
    case "close":
      return { kind: conduct };
  }
}

function arrivalOf({ at, method, headers, body }: Received, behaviour: Behaviour) {
  const own = headers["idempotency-key"];
  const delayMs = "delayMs" in behaviour ? (behaviour.delayMs ?? 0) : 0;
  return {
    at,
    method,
    answeredAt: behaviour.kind === "hang" ? null : performance.timeOrigin + performance.now() + delayMs,
    idempotencyKey: typeof own === "string" ? own : null,
    bodyBytes: body.length,
  };
}
