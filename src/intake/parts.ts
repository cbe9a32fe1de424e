import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Lane } from "../outbox/lane.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { KnownRequest, SweepPlan, SweepResult, SweepRoom } from "../outbox/sweep.ts";
import type { Inserter, Snapshot } from "../pg/snapshot.ts";
import type { RowMemory } from "./handoff.ts";
import type { Reading } from "./schedule.ts";

/** What the intake asks of what holds requests in memory and sends them. */
export interface RowSender extends RowMemory {
  /** Takes a row that `hold` made room for, where it is not in memory already. */
  accept(row: OutboxRow, insertedBy: Inserter | null): void;
  /** True where a sweep can bring enough to be worth its while, whatever it brings. */
  readonly hasRoom: boolean;
  /** True where the rate is limited. */
  readonly isLimited: boolean;
  /** True where what is queued lasts for seconds; where the rate is unlimited, where half of memory is queued. */
  readonly isStocked: boolean;
  /** What a sweep of every lane may bring now. */
  readonly room: SweepRoom;
  /** What a sweep of `lanes` may bring now: its shares are those of them that have room. */
  roomOf(lanes: Iterable<Lane>): SweepRoom;
  /** Lanes of responsive hosts. */
  readonly preferred: readonly Lane[];
  /** True where half of what may wait of `lane` does not. */
  isLow(lane: Lane): boolean;
  /** True where `lane` is to be read soon, however much is queued of others. */
  isWantedSoon(lane: Lane): boolean;
  /** True where `row` stays in the outbox for now. */
  staysInOutbox(row: OutboxRow): boolean;
  /** What is in memory, from its reading until its result is committed. */
  readonly known: readonly KnownRequest[];
}

/** What the intake asks of its neighbours. */
export interface IntakeParts {
  readonly outbox: {
    sweep(plan: SweepPlan): Promise<SweepResult>;
    snapshot(): Promise<Snapshot>;
  };
  readonly sender: RowSender;
  readonly clock: Clock;
  readonly log: Log;
  readonly reading: () => Reading;
  readonly events: IntakeEvents;
}

/** What the intake reports to its owner. */
export interface IntakeEvents {
  /** A sweep ended, after which every lane is behind, or not every lane is. */
  swept(isEveryBehind: boolean): void;
  /** Rows were accepted. */
  accepted(): void;
  /** Everything that was watched is visible. */
  visible(): void;
}
