import type { Clock } from "../base/clock.ts";
import type { Loop } from "../base/loops.ts";
import type { Sender } from "./sender.ts";

/** A request may be in flight for this long, whoever waits for its place, in milliseconds. */
const HELD_MS = 20_000;
/** Looked at so often while there may be too few places. */
const LOOK_MS = 1_000;

/** What ends held places. */
export interface HeldPlacesOptions {
  readonly sender: Pick<Sender, "isShortOfPlaces" | "shortOfPlaces" | "endLongerThan">;
  /** False while no request may start, whatever places there are. */
  readonly mayStart: () => boolean;
  readonly clock: Clock;
}

/**
 * P6: timeouts may be of many minutes, and hosts that answered well may begin to hang all at once. So where all places are
 * in flight and a host that has none waits for one, requests that have long been in flight end, one for each such host; with them
 * come back the places that are reserved for responsive hosts. P8: sleeps while there are places.
 */
export function endHeldPlaces({ sender, mayStart, clock }: HeldPlacesOptions): Loop {
  return async (signal) => {
    while (!signal.aborted) {
      if (!sender.isShortOfPlaces) await sender.shortOfPlaces.wait(null, clock, signal);
      await clock.sleep(LOOK_MS, signal);
      if (!signal.aborted && mayStart()) sender.endLongerThan(HELD_MS);
    }
  };
}
