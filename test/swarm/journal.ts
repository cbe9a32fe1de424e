import { describeFault } from "./describe.ts";
import type { Fault } from "./steps.ts";

/** Milliseconds since the epoch with a fraction: the clock of receivers, callers and faults. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** One fault, from its beginning to its end, in milliseconds since the epoch. */
export interface Span {
  readonly fault: Fault;
  readonly from: number;
  /** Infinity while it lasts. */
  until: number;
}

/** One line of what happened. */
export interface Line {
  readonly at: number;
  readonly text: string;
}

/** What happened in a run, and when. */
export class Journal {
  readonly startedAt = now();
  readonly lines: Line[] = [];
  readonly spans: Span[] = [];

  say(text: string): void {
    this.lines.push({ at: now(), text });
  }

  /** A fault begins; call what is returned at its end. */
  begin(fault: Fault): () => void {
    const span = { fault, from: now(), until: Infinity };
    this.spans.push(span);
    this.say(`FAULT ${describeFault(fault)}`);
    return () => {
      span.until = now();
      if (fault.forMs > 0) this.say(`end of ${fault.kind}`);
    };
  }

  /** `line` with its time since the beginning. */
  show({ at, text }: Line): string {
    return `${String(Math.round(at - this.startedAt)).padStart(6)} ms  ${text}`;
  }
}
