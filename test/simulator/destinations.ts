import type { HttpClient, SendExtras } from "../../src/http/client.ts";
import type { Outcome, Timings } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { DaemonProcess } from "./process.ts";
import type { Random } from "./random.ts";
import type { Referee } from "./referee.ts";
import { filled } from "./filled.ts";
import { after, currentProcess, type Process, virtualNow } from "./virtual-time.ts";

/** How a destination behaves. */
export interface HostBehaviour {
  /** It answers after so long, in milliseconds; null never does. */
  answersMs: number | null;
  /** It refuses connections. */
  refuses: boolean;
  /** Bytes of its answers. */
  answerBytes: number;
}

const NO_TIME: Timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
/** Received at once. */
const CHUNK_BYTES = 16_384;

/** All destinations of one history. */
export class Destinations {
  readonly hosts: Map<string, HostBehaviour>;
  readonly #referee: Referee;
  readonly #random: Random;
  readonly #maxTimeoutMs: number;
  /** Until then each process lacks descriptors, say. */
  shortUntil = 0;

  constructor(hosts: Map<string, HostBehaviour>, referee: Referee, random: Random, maxTimeoutMs: number) {
    this.hosts = hosts;
    this.#referee = referee;
    this.#random = random;
    this.#maxTimeoutMs = maxTimeoutMs;
  }

  /** The client of the process that asks for it. */
  open(): HttpClient {
    const owner = currentProcess();
    if (owner === null) throw new Error("the world around sends nothing");
    const flights = new Map<Request, (outcome: Outcome) => void>();
    return {
      send: (request, extras, kill) => {
        const { promise, resolve } = Promise.withResolvers<Outcome>();
        if (virtualNow() < this.shortUntil) return Promise.resolve(failed("shortage"));
        const sent = this.#referee.sent(owner, request, extras.idempotencyKey);
        if (owner instanceof DaemonProcess) this.#referee.loaded(owner, owner.load);
        let isDone = false;
        const end = (outcome: Outcome): void => {
          if (isDone) return;
          isDone = true;
          flights.delete(request);
          kill?.removeEventListener("abort", abort);
          stopWaiting();
          this.#referee.ended(sent, outcome);
          resolve(outcome);
        };
        const abort = (): void => end(failed("aborted"));
        kill?.addEventListener("abort", abort, { once: true });
        flights.set(request, end);
        const timeoutMs =
          request.timeoutMs === 0 ? this.#maxTimeoutMs : Math.min(request.timeoutMs, this.#maxTimeoutMs);
        const stopWaiting = after(timeoutMs, owner, () => end(failed("timeout")));
        this.#answer(owner, request, extras, end);
        return promise;
      },
      expire: (request) => {
        const end = flights.get(request);
        end?.(failed("timeout"));
        return end !== undefined;
      },
      [Symbol.asyncDispose]: async () => {
        for (const end of flights.values()) end(failed("aborted"));
      },
    };
  }

  #answer(owner: Process, request: Request, { memory }: SendExtras, end: (outcome: Outcome) => void): void {
    const host = this.hosts.get(URL.parse(request.url)?.hostname ?? "");
    if (host === undefined) throw new RangeError(`no such destination: ${request.url}`);
    if (host.refuses) return void after(1, owner, () => end(failed("connect")));
    if (host.answersMs === null) return;
    const status = this.#referee.fails(request) ? 503 : 200;
    const receive = (bytes: number): void => {
      if (bytes < host.answerBytes) {
        const more = Math.min(host.answerBytes, bytes + CHUNK_BYTES);
        const goOn = (): void => void after(1, owner, () => receive(more));
        if (memory?.received(more, host.answerBytes, { goOn }) !== false) goOn();
        return;
      }
      const content = filled(host.answerBytes);
      memory?.finish(content.length);
      end({ kind: "answered", status, headers: [], contentType: "text/plain", content, timings: NO_TIME });
    };
    after(host.answersMs * (0.5 + this.#random.next()), owner, () => receive(0));
  }
}

function failed(code: "timeout" | "aborted" | "connect" | "shortage"): Outcome {
  return { kind: "failed", code, message: code, detail: code, maybeReceived: true, timings: NO_TIME };
}

let opening: () => HttpClient = () => {
  throw new Error("there are no destinations yet");
};

/** From now on clients send to these. */
export function setDestinations(destinations: Destinations): void {
  opening = () => destinations.open();
}

/** In the place of `openClient` of `src/http/mode.ts`, which the simulation replaces by this module. */
export function openClient(): HttpClient {
  return opening();
}
