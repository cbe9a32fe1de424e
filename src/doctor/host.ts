import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";

import { answerMemory } from "../config/answer-memory.ts";
import { expectedMemory } from "../config/expected-memory.ts";
import type { Config } from "../config/settings.ts";
import { KEPT_CONNECTIONS } from "../http/sending.ts";
import {
  type Check,
  type CheckContext,
  type DatabaseContext,
  mebibytes,
  ok,
  type Result,
  skipped,
  warning,
} from "./check.ts";

/** What this machine, or container, gives the daemon. */
export const HOST_CHECKS: readonly Check[] = [
  { id: "clock", group: "host", stage: "always", on: "database", onStandby: true, run: checkClock },
  { id: "descriptors", group: "host", stage: "always", on: "host", run: checkDescriptors },
  { id: "memory", group: "host", stage: "always", on: "host", run: checkMemory },
];

/** Clocks differ by less where something keeps them right. */
const MOST_SKEW_MS = 2_000;

async function checkClock({ db, now }: DatabaseContext): Promise<Result> {
  const before = now();
  const { rows } = await db.query<{ ms: number }>({
    text: "select (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::float8 as ms",
  });
  const after = now();
  const theirs = rows[0]?.ms ?? 0;
  // The answer is from some time between the two.
  const skewMs = theirs < before ? theirs - before : Math.max(0, theirs - after);
  const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return ok("the clocks of this machine and of the server agree");
  return warning(
    `the server's clock is ${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} this machine's: certificates may be refused, and times in the log are not those of the database`,
    "synchronise both with NTP: timedatectl set-ntp true, or chronyc makestep",
  );
}

/** Beside connections to destinations: clients of the health server, the replication session, and Node's own. */
const OTHER_DESCRIPTORS = 256 + 64;

/** How many descriptors the daemon may come to use. */
export function descriptorsNeeded({ http, database }: Pick<Config, "http" | "database">): number {
  return http.concurrency + KEPT_CONNECTIONS + database.poolSize + OTHER_DESCRIPTORS;
}

async function checkDescriptors({ config }: CheckContext): Promise<Result> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => null);
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? "")?.[1];
  if (limit === undefined) return skipped("this system does not show the limit of open files");
  const needed = descriptorsNeeded(config);
  if (limit === "unlimited" || Number(limit) >= needed) return ok(`up to ${limit} files may be open`);
  return warning(
    `up to ${limit} files may be open, and ${needed} may be needed: beyond that requests wait`,
    `start the daemon with a higher limit: ulimit -n ${needed}, LimitNOFILE=${needed} (systemd), --ulimit nofile=${needed} (Docker); or lower http.concurrency`,
  );
}

/** How much memory the daemon may come to use. */
export function memoryNeeded(config: Pick<Config, "outbox" | "http" | "results">): number {
  return expectedMemory(config.outbox.memoryBytes, answerMemory(config));
}

function checkMemory({ config }: CheckContext): Result {
  // Of the container, where it has a limit; 0, or more than there is, where it has none.
  const limit = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  const needed = memoryNeeded(config);
  const found = `there are ${mebibytes(limit)} of memory, and the settings allow the daemon ${mebibytes(needed)}`;
  if (needed <= limit) return ok(found);
  return warning(
    `${found}: under load it may be killed`,
    "give it more, or lower outbox.memoryBytes (PGNETD_MEMORY_BYTES) and results.memoryBytes (PGNETD_ANSWER_MEMORY_BYTES)",
  );
}
