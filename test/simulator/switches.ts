import type { Patch } from "./substitutes.ts";

/** A rule that can be switched off for a run, which must then fail. */
export interface Switch {
  readonly name: string;
  /** What it says. */
  readonly rule: string;
  readonly patches: readonly Patch[];
}

function off(
  name: string,
  rule: string,
  ...patches: readonly (readonly [file: string, from: string, to: string])[]
): Switch {
  return { name, rule, patches: patches.map(([file, from, to]) => ({ file, from, to })) };
}

const HANDOFF = "intake/handoff.ts";
const INTAKE = "intake/intake.ts";
const DISPATCHER = "dispatch/dispatcher.ts";
const SESSION = "replication/stream-session.ts";
const SENDER = "sending/sender.ts";
const MEMORY = "sending/memory.ts";
const LOCK = "leader/lock.ts";

/** Each rule of the handoff, each fence and each bound. */
export const SWITCHES: readonly Switch[] = [
  off(
    "behind",
    "streamed rows of a lane that is behind are dropped",
    [
      HANDOFF,
      'if (this.#behind.has(lane) || this.#snapshots.has(lane, current.xid)) return "drop";',
      'if (this.#snapshots.has(lane, current.xid)) return "drop";',
    ],
    [
      HANDOFF,
      "isOf(this.#sweep, lane) ? hasLost(this.#sweep, lane) : this.#behind.has(lane);",
      "isOf(this.#sweep, lane) && hasLost(this.#sweep, lane);",
    ],
  ),
  off("ignoreSwept", "streamed rows that the last sweep saw are ignored", [
    "intake/swept-snapshots.ts",
    "return snapshot !== null && sees(snapshot, xid);",
    "return false;",
  ]),
  off("covered: swept", "the snapshot of a sweep of some lanes says nothing of the others", [
    HANDOFF,
    "this.#snapshots.add(sweep.lanes, ",
    'this.#snapshots.add("every", ',
  ]),
  off("covered: watch", "a sweep of some lanes ends no watching", [
    HANDOFF,
    'if (sweep.lanes === "every") this.#unwatch(report.snapshot);',
    "this.#unwatch(report.snapshot);",
  ]),
  off("covered: behind", "a sweep of some lanes leaves the others as they are", [
    HANDOFF,
    "this.#behind.swept(sweep.lanes, ",
    'this.#behind.swept("every", ',
  ]),
  off("partly", "a lane of which a sweep left rows is behind", [
    HANDOFF,
    "new Set([...report.left, ...sweep.lost])",
    "new Set(sweep.lost)",
  ]),
  off("aside", "rows streamed while a sweep runs are buffered", [
    HANDOFF,
    'if (this.#memory.hold(lane, bytes)) return "buffer";',
    'if (this.#memory.hold(lane, bytes)) return "accept";',
  ]),
  off("bufferBounded", "a lane whose rows did not fit into the buffer is behind after the sweep", [
    HANDOFF,
    "      this.givenUp(lane);\n      this.#unbuffer(lane, this.#sweep);",
    "",
  ]),
  off("evictBehind", "a lane whose queued requests were dropped is behind", [
    INTAKE,
    "    this.#handoff.givenUp(lane);\n    if (this.#lookAt !== null) return;",
    "    if (this.#lookAt !== null) return;",
  ]),
  off(
    "leaveOutKnown",
    "a sweep leaves out the rows in memory",
    ["intake/sweep-plan.ts", "known: sender.known };", "known: [] };"],
    ["intake/sweep-plan.ts", "const known = lanes.size === 0 ? [] : sender.known;", "const known: never[] = [];"],
  ),
  off("watch", "transactions in progress under the sweep's snapshot are watched", [
    HANDOFF,
    "for (const id of snapshot.inProgress) this.#watched.add(lowXid(id));",
    "",
  ]),
  off("watch: xmax", "those at or above its xmax, too", [
    HANDOFF,
    "for (let id = snapshot.xmax; id < nextXid; id++) this.#watched.add(lowXid(id));",
    "",
  ]),
  off(
    "later",
    "the transaction of a deferred row is watched",
    [HANDOFF, "if (!this.#behind.isEvery) this.#watched.add(current.xid);", ""],
    [HANDOFF, "for (const xid of deferred) if (!sees(report.snapshot, xid)) this.#watched.add(xid);", ""],
  ),
  off("later: sweep", "also of one that came while a sweep ran", [
    HANDOFF,
    "for (const xid of deferred) if (!sees(report.snapshot, xid)) this.#watched.add(xid);",
    "",
  ]),
  off("awaitVisibility", "a result whose row is not visible yet is kept", [
    "results/writer.ts",
    "missing.has(id) && insertedBy !== null && !isDecided(snapshot, insertedBy)",
    "false",
  ]),
  off("again", "a result without a row is followed by a sweep", [
    DISPATCHER,
    '        return this.#intake.dueIn(0);\n      case "read-outbox"',
    '        return;\n      case "read-outbox"',
  ]),
  off("again: seen", "one during which a row with its id came, too", [
    SENDER,
    "if (known.seenAgain) this.#parts.events.seenAgain();",
    "",
  ]),
  off("notTwice", "after a cut what was begun before it is not accepted again", [
    HANDOFF,
    "wasSeen: commitLsn <= this.#begunBeforeCut",
    "wasSeen: false",
  ]),
  off("notTwice: history", "positions of another history say nothing", [
    HANDOFF,
    "if (!sameHistory) this.#begun = ZERO_LSN;",
    "",
  ]),
  off("epoch", "a sweep from before a cut is not used", [
    INTAKE,
    "if (epoch === this.#epoch) this.#found(found, lanes, sweeping);",
    "this.#found(found, lanes, sweeping);",
  ]),
  off("truncate", "a truncation gives up what was not started", [
    DISPATCHER,
    '    this.#cut(true);\n    this.#move("truncated");',
    "    this.#intake.ask();",
  ]),
  off("cut", "a cut gives up what was not started", [
    DISPATCHER,
    "    this.#intake.cut(sameHistory);\n    this.#sender.clear();",
    "    this.#intake.cut(sameHistory);",
  ]),
  off("fence", "no request starts when the server was not heard", [
    DISPATCHER,
    "return this.#clock.now() - this.#heardAt > this.#settings.fenceMs;",
    "return false;",
  ]),
  off("heard when asked", "the server was alive when it was asked, not when its answer was read", [
    SESSION,
    "#heard(at = this.#askedAt): void {",
    "#heard(at = this.#options.clock.now()): void {",
  ]),
  off("receipt", "a session lives for what the server has processed of it, not for its lock", [
    SESSION,
    "const at = this.#confirmations.sentAt(position);",
    "const at: number | null = this.#options.clock.now();",
  ]),
  off("leave", "a lock that is handed over is left to the session that takes it over", [
    LOCK,
    "if (!(await isHandedOver(client, key, answerMs))) return false;",
    "return false;",
  ]),
  off("pump: writable", "no request starts while results cannot be written", [
    DISPATCHER,
    "if (this.#unwritable !== null)",
    "if (this.#unwritable === undefined)",
  ]),
  off("pump: hosts", "no request starts before the settings of hosts are read", [
    DISPATCHER,
    "    this.#knowsHosts = false;\n    this.#control.leading();",
    "    this.#control.leading();",
  ]),
  off("settings visible", "changed settings are read again when they are visible", [
    DISPATCHER,
    "for (const table of this.#changed) this.#control.changed(table);",
    "",
  ]),
  off("slot: lost", "an invalidated slot is recreated", [
    "slot/slot.ts",
    'if (found.walStatus === "lost") {',
    'if (found.walStatus === "never") {',
  ]),
  off("slot: renew", "a slot whose stream cannot be read is recreated", [
    "replication/supervise.ts",
    "this.#renewSlot ||= needsNewSlot(failure, begunAt !== null);",
    "",
  ]),
  off("positions", "what was received is confirmed", [
    "wal/confirmed-position.ts",
    "if (position > this.#received) this.#received = position;",
    "",
  ]),
  off("memory", "no more requests are held than memory has room for", [
    MEMORY,
    "if (this.#requests >= this.#bounds.requests) return false;",
    "",
  ]),
  off("memory: lane", "no more are queued of one lane", [
    MEMORY,
    "return use === undefined || use.queued < use.room.at(now);",
    "return true;",
  ]),
  off(
    "concurrency",
    "no more are in flight",
    ["sending/host-scheduler.ts", "if (free <= 0) return null;", ""],
    [
      "sending/host-scheduler.ts",
      "if (this.#bounds.total - this.#inFlight < needed) return this.#holdBack(turn, needed);",
      "",
    ],
  ),
  off("concurrency: host", "nor to one host", [
    "sending/host.ts",
    "return !this.#paused && this.#flights.size < this.#concurrency;",
    "return !this.#paused;",
  ]),
  off(
    "pause",
    "nothing is sent to a paused host",
    [
      "sending/host.ts",
      "return !this.#paused && this.#flights.size < this.#concurrency;",
      "return this.#flights.size < this.#concurrency;",
    ],
    ["sending/host-scheduler.ts", "return this.#settings.get(host)?.paused ?? false;", "return false;"],
  ),
  off("pause: buffered", "also where it came before the pause, and was buffered", [
    INTAKE,
    "      if (sender.staysInOutbox(one.row)) {\n        this.#drop([one]);",
    "      if (one.row.isForeign) {\n        this.#drop([one]);",
  ]),
  off(
    "rate",
    "the rate is held",
    [
      "limits/start-window.ts",
      "return (this.#times[(this.#oldest + left) % this.#times.length] ?? 0) + this.#spanMs;",
      "return 0;",
    ],
    ["limits/allowance.ts", "const paceMs = (1 + left - this.#permits) / this.#permitsPerMs;", "const paceMs = 0;"],
  ),
  off("rate: host", "the rate of a host is held", [
    "sending/host-scheduler.ts",
    "return this.#rateOf(host.name)?.tryTake() ?? true;",
    "return true;",
  ]),
  off("rate: leadership", "the past of another leader counts", [
    "limits/allowance.ts",
    "    this.#window = this.#window.combinedWith(this.#afterFullRate(now));",
    "",
  ]),
  off("turns", "hosts take turns", [
    "sending/turns.ts",
    "(one, other) => one.used - other.used ||",
    "(one, other) => other.used - one.used ||",
  ]),
  off("stall", "the outbox is swept while the stream is stalled", [
    "intake/schedule.ts",
    "if (stalledSince === null) return times;",
    "return times;",
  ]),
  off("due", "a deferred row is read when it is due", [
    "intake/schedule.ts",
    "if (dueAt !== null) times.push(",
    "if (dueAt === Infinity) times.push(",
  ]),
  off("unsettled", "a settled result releases its request", [
    SENDER,
    "const known = this.#release(request.id);",
    "const known = this.#known.get(request.id);",
  ]),
];
