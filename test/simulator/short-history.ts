import type { Item } from "../../src/results/statements.ts";
import type { KnownRequest, SweepPlan } from "../../src/outbox/sweep.ts";
import { hasEnded } from "../../src/pg/snapshot.ts";
import type { Random } from "./random.ts";
import type { Subject } from "./subject.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

const USERS = 3;
const HOSTS = ["a.test", "b.test"];

/** A short history, drawn from `random`, on `subject`: what it showed, as lines. The same numbers give the same history. */
export async function playShort(subject: Subject, random: Random): Promise<readonly string[]> {
  const shown: string[] = [];
  const xids: bigint[] = [];
  const openBy = new Set<number>();
  /** Who has locked which request. */
  const lockedBy = new Map<number, number>();
  /** Who has inserted a request and not ended. */
  const insertedBy = new Map<number, number>();
  let requests = 0;
  for (let step = random.int(8, 25); step > 0; step--) {
    const what = random.pick([
      "insert",
      "insert",
      "insert",
      "end",
      "end",
      "cancel",
      "sweep",
      "sweep",
      "store",
      "truncate",
      "message",
    ]);
    const user = random.int(0, USERS - 1);
    const request = random.int(0, Math.max(0, requests - 1));
    switch (what) {
      case "insert": {
        const due = random.pick([null, null, null, "ago", "later"] as const);
        xids.push(await subject.insert(user, { host: random.pick(HOSTS), due }));
        openBy.add(user);
        insertedBy.set(requests, user);
        requests++;
        break;
      }
      case "end":
        await subject.end(user, random.chance(0.8));
        openBy.delete(user);
        for (const [inserted, by] of insertedBy) if (by === user) insertedBy.delete(inserted);
        for (const [locked, by] of lockedBy) if (by === user) lockedBy.delete(locked);
        break;
      case "cancel":
        // A deletion waits for who has the row: the history has one thread.
        if (requests === 0 || insertedBy.has(request) || (lockedBy.get(request) ?? user) !== user) break;
        await subject.cancel(user, request);
        lockedBy.set(request, user);
        openBy.add(user);
        break;
      case "truncate":
        if (openBy.size === 0) await subject.truncate();
        break;
      case "message":
        await subject.message(`message ${step}`);
        break;
      case "sweep": {
        const known = Array.from({ length: requests }, (_, index) => index).filter(() => random.chance(0.2));
        const found = await subject.sweep(random.pick([0, 1, 2, 10]), known);
        const ended = xids.map((xid) => (hasEnded(found.snapshot, xid) ? "ended" : "in progress"));
        shown.push(
          `sweep ${found.requests.join()} left ${found.left.join()} later ${found.isDueLater}: ${ended.join()}`,
        );
        break;
      }
      case "store": {
        if (requests === 0) break;
        const some = [...new Set([request, random.int(0, requests - 1)])];
        const { missing, locked } = await subject.store(random.pick(["answered", "dead", "deferred"]), some);
        shown.push(`store ${some.join()}: missing ${missing.join()}, locked ${locked.join()}`);
        break;
      }
    }
  }
  for (let user = 0; user < USERS; user++) await subject.end(user, true);
  return [...shown, ...(await subject.streamed())];
}

/** A sweep with room for `perLane` requests of a lane. */
export function planOf(perLane: number, known: readonly KnownRequest[]): SweepPlan {
  return sweepPlan({ rows: 100, perLane, largest: 1 << 20, known });
}

/** The result of one request. */
export function itemOf(kind: "answered" | "dead" | "deferred", id: bigint, created: string): Item {
  const options = { maxAttempts: 1, retryFirstMs: 1, retryMaxMs: 1, maxRedirects: 5, keep: "all" as const };
  const common = { method: "POST", url: "http://a.test/", headers: [], body: null, timeoutMs: 1, attempts: 0 };
  const request = { ...common, id, created, options, bytes: 1 };
  const timings = { totalMs: 1, dnsMs: 0, connectMs: 0, exchangeMs: 1 };
  const outcome = {
    kind: "answered",
    status: 200,
    headers: [],
    contentType: null,
    content: Buffer.alloc(0),
    timings,
  } as const;
  const completion =
    kind === "deferred"
      ? ({ kind, request, outcome, delayMs: 3_600_000 } as const)
      : ({ kind, request, outcome } as const);
  return { completion, refusal: null };
}
