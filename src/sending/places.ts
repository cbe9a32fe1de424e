/** This share of all places is left to responsive hosts. */
const RESERVED_SHARE = 1 / 8;
/** Of those, each may have this share of all places whatever is free. */
const FEW_SHARE = 1 / 64;
/** A silent host leaves so many times as many places free as it has. */
const LEFT_BY_SILENT = 4;

/** What a host has shown lately: soon answers each time, answers, or none. */
export type Standing = "responsive" | "slow" | "silent";

/** What decides about one more place for a host. */
export interface PlaceSeeker {
  readonly inFlight: number;
  readonly standing: Standing;
}

/**
 * P6: who may have one of the places in flight. A host may have as many as it leaves free, and far fewer while it has not
 * answered, so that however many hosts hang, each further one finds some; and the last ones are for hosts that answer soon.
 */
export class Places {
  readonly #reserved: number;
  readonly #few: number;

  constructor(total: number) {
    this.#reserved = Math.floor(total * RESERVED_SHARE);
    this.#few = Math.max(1, Math.floor(total * FEW_SHARE));
  }

  /** So many must be free that a host may have one more. */
  needed({ inFlight, standing }: PlaceSeeker): number {
    switch (standing) {
      case "responsive":
        return inFlight < this.#few ? 1 : inFlight + 1;
      case "slow":
        return this.#reserved + inFlight + 1;
      case "silent":
        return this.#reserved + inFlight * LEFT_BY_SILENT + 1;
    }
  }

  /** So many must be free that as many hosts without any may start one each. */
  neededFor({ responsive, others }: { readonly responsive: number; readonly others: number }): number {
    return responsive + (others === 0 ? 0 : this.#reserved + others);
  }

  /** True where only responsive hosts may have what is left. */
  areReserved(free: number): boolean {
    return free <= this.#reserved;
  }
}
