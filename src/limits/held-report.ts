import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import type { AnswerBudget, HeldDestination } from "./answer-budget.ts";

/** Interval of checks while any destination is held back, in milliseconds; one held back for less is not reported. */
const LOOK_MS = 1_000;
/** After this many checks in a row without it, a destination counts as no longer held back. */
const LOOKS_TO_END = 5;
/** As many are reported one by one. */
const MOST_REPORTED = 20;

const HINT =
  "Its answers wait to be stored or received: they are large, a session holds locks on its rows, or a trigger on the tables of schema net fails or waits for them. See results.memoryBytes.";

interface Reported {
  readonly since: number;
  looksWithout: number;
}

/** P6: says once which destination is held back for want of memory for its answers, and once when it is so no longer. */
export function reportHeld(
  answers: Pick<AnswerBudget, "held" | "refusal">,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Loop {
  return async (signal) => {
    const reported = new Map<string, Reported>();
    while (!signal.aborted) {
      if (reported.size === 0 && answers.held.length === 0) await answers.refusal.wait(null, clock, signal);
      await clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      for (const held of answers.held) begin(held);
      for (const [name, one] of reported) end(name, one);
    }

    function begin({ name, since, answers: count, bytes }: HeldDestination): void {
      const known = reported.get(name);
      if (known !== undefined) known.looksWithout = -1;
      else if (reported.size < MOST_REPORTED && clock.now() - since >= LOOK_MS) {
        reported.set(name, { since, looksWithout: -1 });
        const fields = { host: name, answers: count, bytes, hint: HINT };
        log.warn(
          fields,
          name === ""
            ? "rows whose url has no host stay in the outbox: what is to be stored of them fills its share of memory"
            : "no request to this host starts: its answers fill its share of memory",
        );
      }
    }

    function end(name: string, one: Reported): void {
      one.looksWithout += 1;
      if (one.looksWithout < LOOKS_TO_END) return;
      reported.delete(name);
      log.info(
        { host: name, durationMs: Math.round(clock.now() - one.since) },
        name === "" ? "rows whose url has no host are read again" : "requests to this host start again",
      );
    }
  };
}
