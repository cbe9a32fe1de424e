import type { Lane } from "../outbox/lane.ts";
import { type Lsn, ZERO_LSN } from "../pg/lsn.ts";
import { sees, type Snapshot } from "../pg/snapshot.ts";
import type { Xid } from "../pg/xid.ts";

/** The lanes that one sweep reads. */
export type SweptLanes = ReadonlySet<Lane> | "every";

/** What the last sweep of each lane saw: the stream brings it, too, until it has passed the sweep (rule ignoreSwept). */
export class SweptSnapshots {
  /** The snapshot of the last sweep of every lane; null where the stream has passed it. */
  #every: Snapshot | null = null;
  /** The snapshots of later sweeps of some lanes. */
  readonly #lanes = new Map<Lane, Snapshot>();
  /** Where the last sweep ended: no transaction that it saw committed beyond. */
  #until = ZERO_LSN;

  /** How many lanes are remembered by name. */
  get size(): number {
    return this.#lanes.size;
  }

  /** A sweep of `lanes` had `snapshot`, and ended at `until`. */
  add(lanes: SweptLanes, snapshot: Snapshot, until: Lsn): void {
    this.#until = until;
    if (lanes === "every") {
      this.#every = snapshot;
      this.#lanes.clear();
    } else for (const lane of lanes) this.#lanes.set(lane, snapshot);
  }

  /** True where a sweep saw transaction `xid` when it read `lane`. */
  has(lane: Lane, xid: Xid): boolean {
    const snapshot = this.#lanes.get(lane) ?? this.#every;
    return snapshot !== null && sees(snapshot, xid);
  }

  /** The stream begins the transaction that committed at `commitLsn`. */
  passed(commitLsn: Lsn): void {
    if (commitLsn >= this.#until) this.clear();
  }

  clear(): void {
    this.#every = null;
    this.#lanes.clear();
    this.#until = ZERO_LSN;
  }
}
