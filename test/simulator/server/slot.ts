import type { Session } from "./session.ts";

/** A replication slot. */
export class Slot {
  readonly plugin = "pgoutput";
  readonly isTemporary: boolean;
  active: Session | null = null;
  confirmed: bigint;
  /** What of that is on disk. */
  persisted: bigint;
  walStatus: "reserved" | "lost" = "reserved";

  constructor(confirmed: bigint, isTemporary: boolean) {
    this.confirmed = confirmed;
    this.persisted = confirmed;
    this.isTemporary = isTemporary;
  }
}
