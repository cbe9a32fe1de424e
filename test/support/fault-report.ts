import { appendFileSync } from "node:fs";
import { expect, inject } from "vitest";
import type { TestDatabase } from "./postgres.ts";
import type { Receiver } from "./receiver.ts";

/** What became of the requests of one fault, counted where they arrived and where they are kept. */
export interface FaultCounts {
  /** Requests whose transaction committed; those that the test deleted from the outbox are not among them. */
  readonly committed: number;
  /** Requests that reached the receiver, repeats included. */
  readonly sent: number;
  /** Requests with a row in `net._http_response`. */
  readonly answered: number;
  /** Committed, and neither answered, dead-lettered nor still waiting (P2). */
  readonly lost: number;
  /** Arrivals of a request after its first (P3). */
  readonly repeated: number;
}

/** One line of the table that the fault suite prints at its end. */
export interface FaultLine extends FaultCounts {
  readonly fault: string;
  /** What else was measured, such as how soon the fault was noticed. */
  readonly note: string;
}

/** Counts what became of `committed` requests, each made with a path of its own. */
export async function countFault(
  db: Pick<TestDatabase, "query">,
  receiver: Pick<Receiver, "requests" | "countByPath">,
  committed: number,
): Promise<FaultCounts> {
  const [kept] = await db.query<{ answered: number; total: number }>(
    `select (select count(distinct id) from net._http_response)::int as answered,
      (select count(*) from (
        select id from net._http_response union select id from net.http_request_queue union select id from net.http_dead_letter
      ) as any_end)::int as total`,
  );
  const sent = receiver.requests.length;
  return {
    committed,
    sent,
    answered: kept?.answered ?? 0,
    lost: committed - (kept?.total ?? 0),
    repeated: sent - receiver.countByPath().size,
  };
}

/** Puts the counts into the table printed at the end of the fault suite; `note` says what else was measured. */
export function reportFault(counts: FaultCounts, note = "", fault = expect.getState().currentTestName ?? "?"): void {
  const line: FaultLine = { fault, ...counts, note };
  appendFileSync(inject("faultReport"), `${JSON.stringify(line)}\n`);
}

/** P2, P3: of `committed` requests each was sent once and has its answer; see `reportFault` for `note`. */
export async function expectExactlyOnce(
  db: Pick<TestDatabase, "query">,
  receiver: Pick<Receiver, "requests" | "countByPath">,
  committed: number,
  note = "",
): Promise<void> {
  const counts = await countFault(db, receiver, committed);
  reportFault(counts, note);
  expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });
}
