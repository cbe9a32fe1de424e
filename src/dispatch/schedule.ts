import type { Phase } from "./phase.ts";

/** What decides when the outbox is read. Times are milliseconds of the clock handed in. */
export interface ScheduleState {
  readonly phase: Phase;
  readonly now: number;
  /** Rows that fit into memory now. */
  readonly room: number;
  /** Rows that fit into it when it is empty. */
  readonly capacity: number;
  /** The sweep before was the last one of its catch-up. */
  readonly swept: boolean;
  /** When the last sweep ended, and when a failed one is tried again. */
  readonly sweptAt: number;
  readonly notBefore: number;
  /** When the earliest parked row is due; null without any. */
  readonly dueAt: number | null;
  /** A watched transaction ended unstreamed, or somebody asked. */
  readonly asked: boolean;
  /** When the watched transactions are looked at next; null where none are. */
  readonly lookAt: number | null;
}

/** What the reader of the outbox does next. `wait` is woken early by a change of the state; null waits for that alone. */
export type Step =
  | { readonly kind: "sweep" }
  | { readonly kind: "look" }
  | { readonly kind: "wait"; readonly ms: number | null };

/** Without a stream the outbox is swept so often. */
const POLL_MS = 1_000;

/** Rows that are due one after the other are read together: a due time is kept within this, in milliseconds. */
const DUE_TOGETHER_MS = 50;

/** The next step. Pure; P8: without work it waits without end. */
export function nextStep(state: ScheduleState): Step {
  const { now, lookAt } = state;
  const sweepAt = nextSweepAt(state);
  if (sweepAt !== null && sweepAt <= now) return { kind: "sweep" };
  if (lookAt !== null && lookAt <= now) return { kind: "look" };
  const next = Math.min(sweepAt ?? Infinity, lookAt ?? Infinity);
  return { kind: "wait", ms: next === Infinity ? null : next - now };
}

function nextSweepAt(state: ScheduleState): number | null {
  const { phase, now, room, capacity, swept, sweptAt, notBefore, asked } = state;
  // Small reads would cost more than they bring: half of the memory is free first.
  if (room * 2 < capacity) return null;
  switch (phase) {
    case "waiting":
    case "stopping":
      return null;
    case "catch-up":
      return notBefore;
    case "polling":
      return Math.max(notBefore, swept && !asked ? sweptAt + POLL_MS : now);
    case "live":
      return asked ? Math.max(notBefore, now) : dueOrNever(state);
  }
}

function dueOrNever({ dueAt, notBefore, sweptAt }: ScheduleState): number | null {
  return dueAt === null ? null : Math.max(dueAt, notBefore, sweptAt + DUE_TOGETHER_MS);
}
