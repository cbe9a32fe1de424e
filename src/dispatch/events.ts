import type { HostSettings } from "../outbox/host-settings.ts";
import type { Completion } from "../results/completion.ts";

/** What the parts that the dispatcher uses report to it. */
export type DispatcherEvent =
  /** These are committed, or their row was cancelled by its owner; they need no memory any more. */
  | { readonly kind: "settled"; readonly completions: readonly Completion[] }
  /** Some that were just settled had no row any more. */
  | { readonly kind: "gone" }
  /** Why results cannot be written, or null; see `ResultListener.writable`. */
  | { readonly kind: "writable"; readonly why: string | null }
  /** A request that was refused by a rate may start: by the rate of `host`, or by the global one where that is null. */
  | { readonly kind: "permit"; readonly host: string | null }
  /** There may be memory for answers of hosts that were refused a start for want of it. */
  | { readonly kind: "answers-have-room" }
  /** The settings of hosts were read: these are in force from now on. They may have been changed since the reading began. */
  | {
      readonly kind: "hosts-configured";
      readonly settings: ReadonlyMap<string, HostSettings>;
      readonly isLatest: boolean;
    }
  /** The outbox is to be read now, soon after the transaction being received is visible, or some time after that. */
  | { readonly kind: "read-outbox"; readonly when: "now" | "visible" | "some time" };

/** Carries events to the dispatcher, which is made after the parts that report them. Those from before its making are dropped. */
export class DispatcherEvents {
  #handle: (event: DispatcherEvent) => void = () => undefined;

  /** Hands `event` to the subscriber before it returns. */
  emit(event: DispatcherEvent): void {
    this.#handle(event);
  }

  /** There is one subscriber. */
  subscribe(handle: (event: DispatcherEvent) => void): void {
    this.#handle = handle;
  }
}
