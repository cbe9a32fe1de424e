import { onTestFinished } from "vitest";
import { Intake } from "../../src/intake/intake.ts";
import type { IntakeParts } from "../../src/intake/parts.ts";
import type { Reading } from "../../src/intake/schedule.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import type { SweepPlan, SweepResult } from "../../src/outbox/sweep.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { type Inserter, parseSnapshot, type Snapshot } from "../../src/pg/snapshot.ts";
import { lowXid } from "../../src/pg/xid.ts";
import { FakeClock } from "./fake-clock.ts";
import { requestOf } from "./http-peer.ts";
import { recordedLog } from "./recorded-log.ts";
import { turn } from "./world-referee.ts";

/** A sweep that found nothing, and all of it; transactions below 100 had ended. */
export const EMPTY: SweepResult = {
  rows: [],
  snapshot: parseSnapshot("100:100:"),
  insertLsn: lsn(1_000n),
  nextXid: 100n,
  left: [],
  isWhole: true,
  next: null,
  nextDueMs: null,
};
/** One that found transaction 110 in progress. */
export const BUSY: SweepResult = { ...EMPTY, snapshot: parseSnapshot("110:111:110"), nextXid: 111n };
/** It has ended. */
export const ENDED = parseSnapshot("111:111:");

let id = 0n;
/** A row of seven bytes, with an id of its own. */
export function rowOf(lane: string, nextAttemptAt: string | null = null): OutboxRow {
  id += 1n;
  const request = { ...requestOf(`http://${lane}/`, { id }), bytes: 7 };
  return { request, defect: null, isForeign: false, nextAttemptAt, lane, host: lane };
}

/** The intake between an outbox that answers what it is told to, and a sender that only takes note. */
export class IntakeLab {
  readonly clock = new FakeClock();
  readonly events: string[] = [];
  readonly plans: SweepPlan[] = [];
  readonly accepted: { readonly lane: string; readonly insertedBy: Inserter | null }[] = [];
  readonly paused = new Set<string>();
  readonly low = new Set<string>();
  readonly soon = new Set<string>();
  readonly responsive: string[] = [];
  /** Lanes without room. */
  readonly full = new Set<string>();
  readonly dropped: [string, number][] = [];
  readonly logged = recordedLog();
  readonly room = { rows: 10, bytes: 1_000, largest: 1_000, perLane: 10, authorities: [], shares: [] };
  free: number;
  hasRoom = true;
  isStocked = false;
  reading: Reading = "streaming";
  snapshots = 0;
  answerOf: (sweeps: number) => Promise<SweepResult>;
  snapshot: () => Promise<Snapshot> = async () => BUSY.snapshot;
  readonly intake: Intake;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #commitLsn = 2_000n;

  constructor(answerOf: (sweeps: number) => Promise<SweepResult>, free: number) {
    this.answerOf = answerOf;
    this.free = free;
    const sender: IntakeParts["sender"] = {
      hold: () => this.free-- > 0,
      drop: (lane, bytes) => void this.dropped.push([lane, bytes]),
      accept: ({ lane }, insertedBy) => void this.accepted.push({ lane, insertedBy }),
      isLow: (lane) => this.low.has(lane),
      isWantedSoon: (lane) => this.soon.has(lane),
      isLimited: true,
      isStocked: false,
      staysInOutbox: ({ lane }) => this.paused.has(lane),
      room: this.room,
      roomOf: (lanes) => {
        const shares = [...lanes].filter((lane) => !this.full.has(lane)).map((lane) => ({ lane, queued: 0, room: 10 }));
        return { ...this.room, shares };
      },
      preferred: this.responsive,
      known: [{ id: 7n, created: "now" }],
      hasRoom: true,
    };
    Object.defineProperty(sender, "hasRoom", { get: () => this.hasRoom });
    Object.defineProperty(sender, "isStocked", { get: () => this.isStocked });
    this.intake = new Intake({
      outbox: {
        sweep: (plan) => {
          this.plans.push(plan);
          return this.answerOf(this.sweeps);
        },
        snapshot: () => {
          this.snapshots += 1;
          return this.snapshot();
        },
      },
      sender,
      clock: this.clock,
      log: this.logged.log,
      reading: () => this.reading,
      events: {
        swept: (isEvery) => void this.events.push(isEvery ? "swept, every behind" : "swept"),
        accepted: () => void this.events.push("accepted"),
        visible: () => void this.events.push("visible"),
      },
    });
    this.#ended = this.intake.read(this.#stop.signal);
  }

  get sweeps(): number {
    return this.plans.length;
  }

  /** Lets `ms` pass, step by step. */
  async pass(ms: number, stepMs = Math.max(1, Math.round(ms / 100))): Promise<void> {
    await turn();
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await turn();
    }
  }

  begin(xid: bigint): void {
    this.#commitLsn += 10n;
    this.intake.begin({ xid: lowXid(xid), commitLsn: lsn(this.#commitLsn) });
  }

  /** A transaction from begin to commit, or to what `end` does. */
  transaction(xid: bigint, rows: readonly OutboxRow[], end = (): void => this.intake.commit()): void {
    this.begin(xid);
    for (const row of rows) this.intake.row(row);
    end();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

/** A lab, until the test ends, whose sweeps are answered by `answerOf`, and whose memory has so many places. */
export function openLab(answerOf: (sweeps: number) => Promise<SweepResult> = async () => EMPTY, free = 100): IntakeLab {
  const lab = new IntakeLab(answerOf, free);
  onTestFinished(() => lab.end());
  return lab;
}

/** A lab whose first sweep, ten milliseconds ago, found `found`: the lanes have caught up. */
export async function liveLab(found = EMPTY): Promise<IntakeLab> {
  const lab = openLab(async () => found);
  await lab.pass(10);
  lab.answerOf = async () => ({ ...EMPTY, snapshot: found.snapshot, nextXid: found.nextXid });
  lab.plans.length = 0;
  lab.events.length = 0;
  return lab;
}
