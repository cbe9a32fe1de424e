import { isIPv6 } from "node:net";

import { z } from "zod";

import { toError } from "../base/errors.ts";
import { type CheckContext, failure, type HostCheck, ok, type Result } from "./check.ts";

/** A daemon answers at once, whatever the database does. */
const ANSWER_MS = 3_000;

/** Addresses to listen on that stand for all there are. */
const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::", "[::]"]);

const healthSchema = z.object({
  state: z.string(),
  ready: z.boolean(),
  detail: z.string(),
  stalled: z.string().nullable(),
});

/** Whether the daemon of this machine answers, and starts requests: only it knows why it does not. */
export const DAEMON_CHECK: HostCheck = {
  id: "daemon",
  group: "stream",
  stage: "installed",
  on: "host",
  run: checkDaemon,
};

async function checkDaemon({ config }: CheckContext): Promise<Result> {
  const { host, port } = config.server;
  const reached = ANY.has(host) ? "127.0.0.1" : host;
  const at = `${isIPv6(reached) ? `[${reached}]` : reached}:${port}`;
  const answer = await ask(`http://${at}/readyz`);
  if (answer === "none") return ok(`none answers at ${at}: this does not run where one does`);
  if (answer === "silent") {
    return failure(
      `something has ${at} and does not answer: a daemon that hangs sends nothing`,
      `see what it is (ss -ltnp 'sport = :${port}'), end it (kill -9), and start a daemon: pgnetd run`,
    );
  }
  const health = healthSchema.safeParse(answer).data;
  if (health === undefined) return ok(`what answers at ${at} is no daemon of this version`);
  const { state, ready, stalled, detail } = health;
  const isLeading = state === "live" || state === "polling" || state === "catch-up";
  if (!isLeading || (ready && stalled === null)) return ok(`the one at ${at} is ${state}`);
  return failure(
    `the one at ${at} leads and sends nothing: ${stalled ?? detail}`,
    "mend what it names; it goes on by itself",
  );
}

async function ask(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    const text = await response.text();
    return text.startsWith("{") ? JSON.parse(text) : null;
  } catch (error) {
    return toError(error).name === "TimeoutError" ? "silent" : "none";
  }
}
