import type { Environment } from "../config/load.ts";
import type { Config } from "../config/settings.ts";
import type { Queryable } from "../pg/pool.ts";
import type { ConnectionProbe } from "./connection-probe.ts";
import type { Provider } from "./provider.ts";

/** What checks are grouped by, in the order in which they are shown. */
export const GROUPS = ["connection", "server", "rights", "schema", "stream", "tables", "host", "egress"] as const;

/** One of `GROUPS`. */
export type Group = (typeof GROUPS)[number];

/**
 * What a check found. `fail`: requests are not sent, or not as promised. `warn`: they will not be, or somebody sees too much.
 * `skip`: it could not look, and `found` says why.
 */
export type Result =
  | { readonly status: "ok" | "skip"; readonly found: string }
  | {
      readonly status: "warn" | "fail";
      readonly found: string;
      /** The command that mends it on the provider at hand, or what else to do. */
      readonly fix: string;
    };

/** What every check may use. */
export interface CheckContext {
  readonly config: Config;
  readonly probe: ConnectionProbe;
  /** The url that requests are to reach; null where none was chosen. */
  readonly url: string | null;
  readonly env: Environment;
  /** Name servers to ask in place of the system's; null for those. */
  readonly nameServers: readonly string[] | null;
  /** Milliseconds since 1970 by the clock of this machine. */
  readonly now: () => number;
  /** From when on a transaction counts as old, in seconds. */
  readonly oldTransactionSeconds: number;
}

/** What checks of the database may use besides. */
export interface DatabaseContext extends CheckContext {
  readonly db: Queryable;
  readonly server: ServerFacts;
}

/** What is read of the server once, for all checks. */
export interface ServerFacts {
  readonly provider: Provider;
  /** `server_version_num`, such as 180004. */
  readonly version: number;
  /** True for a standby server. */
  readonly isStandby: boolean;
  readonly database: string;
  readonly role: string;
  /** The name of the replication slot, configured or by default. */
  readonly slotName: string;
}

/** When a check makes sense: always, once pgnetd is installed, or before that alone. */
export type Stage = "always" | "installed" | "before";

interface AnyCheck {
  /** Stable: it is what `--only` and `--skip` take, and the heading in docs/doctor.md. */
  readonly id: string;
  readonly group: Group;
  readonly stage: Stage;
  /** Checks that must not have failed for this one to make sense. */
  readonly needs?: readonly string[];
}

/** A check that needs no connection of the doctor's. */
export interface HostCheck extends AnyCheck {
  readonly on: "host";
  readonly run: (context: CheckContext) => Promise<Result> | Result;
}

/** A check that asks the database. Its statements do not grow with the queue. */
export interface DatabaseCheck extends AnyCheck {
  readonly on: "database";
  /** True where it makes sense on a standby server, too: others would speak of the wrong server. */
  readonly onStandby?: true;
  readonly run: (context: DatabaseContext) => Promise<Result>;
}

/** One thing that makes a set-up fail, and how to find out. */
export type Check = HostCheck | DatabaseCheck;

/** All is well. */
export function ok(found: string): Result {
  return { status: "ok", found };
}

/** It could not be looked at. */
export function skipped(why: string): Result {
  return { status: "skip", found: why };
}

/** It will make trouble. */
export function warning(found: string, fix: string): Result {
  return { status: "warn", found, fix };
}

/** It makes trouble. */
export function failure(found: string, fix: string): Result {
  return { status: "fail", found, fix };
}

/** A size as checks say it, rounded up. */
export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
