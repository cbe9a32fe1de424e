import type { Config } from "../config/settings.ts";
import { redact } from "../config/redact.ts";
import { isStranger } from "../leader/holder.ts";
import { Distribution } from "../metrics/distribution.ts";
import type { Sample } from "../metrics/sample.ts";
import { type Labels, valuesOf } from "../metrics/values.ts";
import type { Health } from "../ops/health.ts";
import type { LastMinute } from "./history.ts";

/** A number, or several by the label that tells them apart. */
type Value = number | null | Readonly<Record<string, number>>;

/** What a watcher is sent: what the daemon says of itself, and every number of `/metrics` by its key, without its histograms. */
export interface Frame {
  readonly at: number;
  readonly database: string;
  readonly state: Health["state"] | "unknown";
  readonly ready: boolean;
  readonly detail: string;
  /** Whether it leads, and starts no request. */
  readonly isStalled: boolean;
  readonly mode: Health["mode"] | null;
  /** The session that leads where this daemon does not, as far as it is known. */
  readonly holder: {
    readonly pid: number | null;
    readonly address: string | null;
    /** Whether it is a session that is no daemon. */
    readonly isStranger: boolean;
  } | null;
  /** Starts per second since the frame before; null in the first. */
  readonly startedPerSecond: number | null;
  readonly lastMinute: LastMinute;
  readonly values: Readonly<Record<string, Value>>;
  /** Whether there are actions. */
  readonly hasActions: boolean;
  readonly urls: Config["page"]["urls"];
}

/** What a frame is made of. */
export interface FrameParts {
  readonly sample: Sample;
  readonly health: Health | null;
  readonly settings: Config["page"];
  readonly startedPerSecond: number | null;
  readonly lastMinute: LastMinute;
  readonly at: number;
}

/** Makes it. */
export function frameOf({ sample, health, settings, startedPerSecond, lastMinute, at }: FrameParts): Frame {
  const holder = sample.state?.standby === true ? sample.state.holder : null;
  return {
    at,
    database: sample.meters.database,
    state: health?.state ?? "unknown",
    ready: health?.ready ?? false,
    detail: redact(health?.detail ?? "the daemon has not begun"),
    isStalled: health !== null && health.stalled !== null,
    mode: health?.mode ?? null,
    holder: holder === null ? null : { pid: holder.pid, address: holder.address, isStranger: isStranger(holder) },
    startedPerSecond,
    lastMinute,
    values: numbersOf(sample),
    hasActions: settings.token !== null,
    urls: settings.urls,
  };
}

function numbersOf(sample: Sample): Readonly<Record<string, Value>> {
  const values: Record<string, Value> = {};
  for (const [key, shown] of Object.entries(valuesOf(sample))) {
    if (shown instanceof Distribution || key.startsWith("hosts.")) continue;
    values[key] = shown === null || typeof shown === "number" ? shown : byLabel(shown);
  }
  return values;
}

function byLabel(shown: readonly (readonly [Labels, number])[]): Readonly<Record<string, number>> {
  return Object.fromEntries(shown.map(([labels, value]) => [Object.values(labels).join(" "), value]));
}

/** JSON has no infinity: it is sent as text, which `Number` reads. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => (one === Infinity ? "Infinity" : one));
}
