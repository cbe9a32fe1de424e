import type { Patch } from "./substitutes.ts";

/** A rule that can be switched off for a run, which must then fail. */
export interface Switch {
  readonly name: string;
  /** What is lost without it. */
  readonly about: string;
  /** Histories within which a run without it fails. */
  readonly within: number;
  readonly patches: readonly Patch[];
}

function off(name: string, about: string, within: number, file: string, from: string, to: string): Switch {
  return { name, about, within, patches: [{ file, from, to }] };
}

const HANDOFF = "intake/handoff.ts";
const INTAKE = "intake/intake.ts";
const DISPATCHER = "dispatch/dispatcher.ts";

/** Each rule of the handoff, each fence and each bound. */
export const SWITCHES: readonly Switch[] = [
  off(
    "behind",
    "streamed rows of a lane that is behind are dropped",
    300,
    HANDOFF,
    'if (this.#behind.has(lane) || this.#isSwept(current)) return "drop";',
    'if (this.#isSwept(current)) return "drop";',
  ),
  off(
    "ignoreSwept",
    "streamed rows that the last sweep saw are ignored",
    300,
    HANDOFF,
    "return this.#swept !== null && sees(this.#swept.snapshot, xid);",
    "return false;",
  ),
  off(
    "partly",
    "a lane of which a sweep left rows is behind",
    300,
    HANDOFF,
    "new Set([...report.left, ...sweep.lost])",
    "new Set(sweep.lost)",
  ),
  off(
    "aside",
    "rows streamed while a sweep runs are buffered",
    300,
    HANDOFF,
    'if (this.#memory.hold(lane, bytes)) return "buffer";',
    'if (this.#memory.hold(lane, bytes)) return "accept";',
  ),
  off(
    "bufferBounded",
    "a lane whose rows did not fit into the buffer is behind",
    300,
    HANDOFF,
    "      this.givenUp(lane);\n      this.#unbuffer(lane, this.#sweep);",
    "",
  ),
  off(
    "evictBehind",
    "a lane whose queued requests were dropped is behind",
    300,
    INTAKE,
    "    this.#handoff.givenUp(lane);\n    this.dueIn(GIVEN_UP_MS);",
    "    this.dueIn(GIVEN_UP_MS);",
  ),
  off("leaveOutKnown", "a sweep leaves out the ids in memory", 300, INTAKE, "known: sender.knownIds", "known: []"),
  off(
    "watch",
    "transactions in progress under the snapshot are watched",
    300,
    HANDOFF,
    "for (const id of snapshot.inProgress) this.#watched.add(lowXid(id));",
    "",
  ),
  off(
    "watch from xmax",
    "also those at or above xmax",
    1_000,
    HANDOFF,
    "for (let id = snapshot.xmax; id < nextXid; id++) this.#watched.add(lowXid(id));",
    "",
  ),
  off(
    "later",
    "the transaction of a deferred row is watched",
    300,
    HANDOFF,
    "if (!this.#behind.isEvery) this.#watched.add(current.xid);",
    "",
  ),
  off(
    "later in sweep",
    "also of one that came while a sweep ran",
    1_000,
    HANDOFF,
    "for (const xid of deferred) if (!sees(report.snapshot, xid)) this.#watched.add(xid);",
    "",
  ),
  off(
    "awaitVisibility",
    "a result whose row is not visible yet is kept",
    300,
    "results/writer.ts",
    "missing.has(id) && insertedBy !== null && !isDecided(snapshot, insertedBy)",
    "false",
  ),
  off(
    "again",
    "a result without a row is followed by a sweep",
    3_000,
    DISPATCHER,
    'case "gone":\n        // P2: ids of commits that a failover lost are given again, and those of a sequence that was restarted.\n        return this.#intake.ask();',
    'case "gone":\n        return;',
  ),
  off(
    "seen again",
    "one during which a row with its id came, too",
    3_000,
    "sending/sender.ts",
    "if (known.seenAgain) this.#parts.events.seenAgain();",
    "",
  ),
  off(
    "notTwice",
    "after a cut what was begun before it is not accepted again",
    300,
    HANDOFF,
    "wasSeen: commitLsn <= this.#begunBeforeCut",
    "wasSeen: false",
  ),
  off(
    "notTwice in the same history alone",
    "positions of another history say nothing",
    3_000,
    HANDOFF,
    "if (!sameHistory) this.#begun = ZERO_LSN;",
    "",
  ),
];
