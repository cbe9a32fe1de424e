// What the http module costs above undici itself: CPU per request and requests per second, medians of interleaved rounds,
// against a receiver in a process of its own. `node bench/http.ts [rounds] [requests]`
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, type Dispatcher } from "undici";
import { openHttpClient } from "../src/http/client.ts";
import { type Request } from "../src/outbox/request.ts";

const rounds = Number(process.argv[2] ?? 7);
const requests = Number(process.argv[3] ?? 20_000);
const CONNECTIONS = 64;
const BODY = Buffer.from(JSON.stringify({ event: "x".repeat(200) }));

const receiver = fork(new URL("http-receiver.ts", import.meta.url));
const [address] = (await once(receiver, "message")) as [{ readonly port: number }];
const origin = `http://127.0.0.1:${address.port}`;

const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 });
await using client = openHttpClient({
  userAgent: "bench",
  connectionsPerOrigin: CONNECTIONS,
  maxResponseBytes: 1_000_000,
  allowNetworks: ["127.0.0.0/8"],
});
const kill = new AbortController();

const request: Request = {
  id: 1n,
  method: "POST",
  url: `${origin}/hook?a=1`,
  headers: [
    ["Content-Type", "application/json"],
    ["Authorization", "Bearer abcdefghijklmnop"],
  ],
  body: BODY,
  timeoutMs: 5_000,
  created: "2026-11-21 09:20:32+00",
  attempts: 0,
  options: { maxAttempts: 1, retryFirstMs: 1, retryMaxMs: 1, maxRedirects: 5, keep: "all" },
  bytes: 500,
};
const plain = {
  origin,
  path: "/hook?a=1",
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: "Bearer abcdefghijklmnop" },
  body: BODY,
} as const;

/** The least that can be done with undici: a handler that keeps the content. */
class Bare implements Dispatcher.DispatchHandler {
  readonly #done: (content: Buffer) => void;
  #content: Buffer = Buffer.alloc(0);

  constructor(done: (content: Buffer) => void) {
    this.#done = done;
  }

  onRequestStart(): void {}

  onResponseStart(): void {}

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#content = chunk;
  }

  onResponseEnd(): void {
    this.#done(this.#content);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    throw error;
  }
}

const variants: Readonly<Record<string, () => Promise<unknown>>> = {
  "undici.request": async () => {
    const { body } = await agent.request({ ...plain, responseHeaders: "raw", signal: kill.signal });
    return body.text();
  },
  "undici.dispatch": () => new Promise((resolve) => agent.dispatch({ ...plain, origin }, new Bare(resolve))),
  "http module": () => client.send(request, { idempotencyKey: "0123456789abcdef" }, kill.signal),
};

interface Round {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

async function round(send: () => Promise<unknown>): Promise<Round> {
  let left = requests;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) await send();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (requests / (performance.now() - startedAt)) * 1000, cpuMicros: (user + system) / requests };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const results = new Map(Object.keys(variants).map((name) => [name, [] as Round[]]));
for (let at = -1; at < rounds; at++) {
  for (const [name, send] of Object.entries(variants)) {
    const result = await round(send);
    if (at >= 0) results.get(name)?.push(result);
  }
}
const base = median(results.get("undici.request")?.map((one) => one.cpuMicros) ?? []);
for (const [name, all] of results) {
  const cpuMicros = median(all.map((one) => one.cpuMicros));
  const perSecond = median(all.map((one) => one.perSecond));
  console.log(
    `${name.padEnd(16)} ${perSecond.toFixed(0).padStart(7)} requests/s ${cpuMicros.toFixed(1).padStart(6)} µs CPU each, ${(cpuMicros / base).toFixed(2)} of undici.request`,
  );
}
await agent.close();
receiver.disconnect();
