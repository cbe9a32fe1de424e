import { isIPv6 } from "node:net";

import { z } from "zod";

import { PgnetdError, toError } from "../base/errors.ts";
import type { Config } from "../config/settings.ts";

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

/** What answers where the daemon of these settings would, on this machine. */
export type LocalDaemon =
  /** Nothing listens there. */
  | { readonly kind: "none"; readonly at: string }
  /** Something does, and does not answer. */
  | { readonly kind: "silent"; readonly at: string }
  /** It is no daemon, or one of another version. */
  | { readonly kind: "unknown"; readonly at: string }
  /** `stalled` is why it starts no request although it leads; null where it does, or does not lead. */
  | {
      readonly kind: "daemon";
      readonly at: string;
      readonly state: string;
      readonly isLeading: boolean;
      readonly stalled: string | null;
    };

/** Asks the daemon of this machine: only it knows why it starts no request. */
export async function askLocalDaemon({ host, port }: Pick<Config["server"], "host" | "port">): Promise<LocalDaemon> {
  const reached = ANY.has(host) ? "127.0.0.1" : host;
  const at = `${isIPv6(reached) ? `[${reached}]` : reached}:${port}`;
  const answer = await ask(`http://${at}/readyz`);
  if (answer === "none" || answer === "silent") return { kind: answer, at };
  const health = healthSchema.safeParse(answer).data;
  if (health === undefined) return { kind: "unknown", at };
  const { state, ready, stalled, detail } = health;
  const isLeading = state === "live" || state === "polling" || state === "catch-up";
  return { kind: "daemon", at, state, isLeading, stalled: isLeading ? (stalled ?? (ready ? null : detail)) : null };
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

/** What an operator should do about a daemon that leads and starts no request; null where it does, or none can be asked. */
export function stallProblem(daemon: LocalDaemon): PgnetdError | null {
  if (daemon.kind !== "daemon" || daemon.stalled === null) return null;
  return new PgnetdError("NOT_DONE", `the daemon at ${daemon.at} leads and sends nothing: ${daemon.stalled}`, {
    hint: "Mend what it names; it goes on by itself.",
  });
}

/** What is known of the daemon here, and where the rest is: whether requests start is in no table. */
export function localDaemonText(daemon: LocalDaemon): string {
  const what = localText(daemon);
  const isLeading = daemon.kind === "daemon" && daemon.isLeading;
  return isLeading ? what : `${what}; whether the leader starts requests is known to it alone: ask beside it`;
}

function localText(daemon: LocalDaemon): string {
  const { at } = daemon;
  switch (daemon.kind) {
    case "none":
      return `none at ${at}`;
    case "silent":
      return `what has ${at} does not answer`;
    case "unknown":
      return `what answers at ${at} is no daemon of this version`;
    case "daemon":
      return `${daemon.state} at ${at}${daemon.stalled === null ? "" : ", and sends nothing"}`;
  }
}
