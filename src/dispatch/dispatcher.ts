import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops } from "../base/loops.ts";
import { Intake } from "../intake/intake.ts";
import type { IntakeParts } from "../intake/parts.ts";
import type { Reading } from "../intake/schedule.ts";
import { HOST_SETTINGS_TABLE } from "../outbox/host-settings.ts";
import type { Lane } from "../outbox/lane.ts";
import { laneOfRow, readRow, type RowContext } from "../outbox/row.ts";
import type { Completion } from "../results/completion.ts";
import { endHeldPlaces } from "../sending/held-places.ts";
import type { LaneActivity } from "../sending/host.ts";
import type { SenderParts, SenderSettings } from "../sending/parts.ts";
import { Sender } from "../sending/sender.ts";
import type { Begin } from "../wal/events.ts";
import type { DispatcherEvent, DispatcherEvents } from "./events.ts";
import { endHint } from "../pg/lock-owner.ts";
import { isStranger, type LockHolder } from "../leader/holder.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { ServerIdentity, SessionListener } from "../replication/session-options.ts";
import { History } from "./history.ts";
import { mayStart, nextPhase, type Phase, type PhaseEvent } from "./phase.ts";

/** What the dispatcher asks of its neighbours. */
export interface DispatcherParts extends Omit<SenderParts, "events"> {
  /** What the other parts report. */
  readonly events: Pick<DispatcherEvents, "subscribe">;
  readonly outbox: IntakeParts["outbox"];
  /** Ends the connections to the server of before a failover: what it answers is of a history that is over. */
  readonly reconnect: () => void;
  readonly control: {
    /** A table other than the outbox changed, by its `schema.name`. */
    changed(table: string): void;
    /** A control message came. */
    message(content: string): void;
    /** Without a stream the outbox was swept: nobody reported changes meanwhile. */
    polled(): void;
    /** There is a new stream: nobody reported changes before. */
    streaming(): void;
    /** Leads to `hosts-configured`; nothing is started before. */
    leading(): void;
  };
}

/** Bounds and defaults of the dispatcher. */
export interface DispatcherSettings extends SenderSettings {
  readonly rows: RowContext;
  /** No request starts when the server was not heard for so long, in milliseconds: another daemon may lead by then. */
  readonly fenceMs: number;
  /** `schema.name` of the outbox. */
  readonly outboxTable: string;
}

/** What the dispatcher reports to the page, the health checks and the metrics. */
export interface DispatcherState {
  readonly phase: Phase;
  /** Another session was seen to have the leader's lock, over a connection that is up. */
  readonly standby: boolean;
  /** That session, where it was still there. */
  readonly holder: LockHolder | null;
  /** Why a leader starts no request; null where it may. */
  readonly stalled: string | null;
  /** Why the outbox cannot be read, where that failed several times in a row. */
  readonly unread: string | null;
  readonly queued: number;
  readonly inFlight: number;
  readonly inMemory: number;
  readonly memoryBytes: number;
  /** Lanes of which the outbox may have requests that are not in memory. */
  readonly lanesBehind: number | "every";
  /** How far the stream was received; null before the first. */
  readonly received: Lsn | null;
  /** Milliseconds since the server was last heard; null before the first time. */
  readonly heardMsAgo: number | null;
  /** False while results cannot be written. */
  readonly isWritable: boolean;
}

/** Changed settings of hosts are read before anything more starts, unless that takes longer than this, in milliseconds. */
const HOSTS_READ_WITHIN_MS = 1_000;

/** How the outbox is read in each phase. */
const READING: Record<Phase, Reading> = {
  "not-leading": "none",
  polling: "polling",
  "catch-up": "streaming",
  live: "streaming",
  stopping: "none",
};

/**
 * Leads or stands by: joins what the session and the other parts report with the intake of rows and their sending.
 *
 * Its modes are the phases, and `phase.ts` has what moves it from one to the next. In those in which it leads it is *stalled*, and
 * starts nothing,
 *
 * - until the settings of hosts were read under this leadership (`hosts-configured`), and from a change of them until they were read
 *   again, or for a second where they cannot be read,
 * - from a failed write until results can be written again (`writable`),
 * - from `fenceMs` without a word of the server until it is heard again (`heard`).
 */
export class Dispatcher implements SessionListener {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #control: DispatcherParts["control"];
  readonly #reconnect: DispatcherParts["reconnect"];
  readonly #settings: DispatcherSettings;
  readonly #sender: Sender;
  readonly #intake: Intake;
  #phase: Phase = "not-leading";
  readonly #history = new History();
  /** When the server was last heard. */
  #heardAt = 0;
  /** False while results cannot be written. */
  #unwritable: string | null = null;
  /** P7: false from the start of leadership until the settings of hosts were read. */
  #knowsHosts = false;
  /** P7: since when a change of the settings of hosts was not read; null where there is none. */
  #hostsChangedAt: number | null = null;
  readonly #hostsChanged = new AutoResetEvent();
  /** Tables beside the outbox whose changes may not be visible yet. */
  readonly #changed = new Set<string>();
  /** How far the stream was received; null before the first. */
  #received: Lsn | null = null;
  /** Of the transaction being received. */
  #committedAt: number | undefined;
  /** Another session was seen to lead, over a connection that is up; and which, where it was still there. */
  #standby = false;
  #holder: LockHolder | null = null;

  constructor(parts: DispatcherParts, settings: DispatcherSettings) {
    const { log, clock, control, outbox, reconnect, events } = parts;
    this.#log = log;
    this.#clock = clock;
    this.#control = control;
    this.#reconnect = reconnect;
    this.#settings = settings;
    const senderEvents = {
      ended: () => this.#pump(),
      low: (lane: Lane) => this.#intake.low(lane),
      givenUp: (lane: Lane) => this.#intake.givenUp(lane),
      seenAgain: () => this.#intake.dueIn(0),
    };
    this.#sender = new Sender({ ...parts, events: senderEvents }, settings);
    this.#intake = new Intake({
      outbox,
      sender: this.#sender,
      clock,
      log,
      reading: () => READING[this.#phase],
      events: {
        swept: (isEveryBehind) => this.#swept(isEveryBehind),
        accepted: () => this.#pump(),
        visible: () => this.#visible(),
      },
    });
    events.subscribe((event) => this.#handle(event));
  }

  get state(): DispatcherState {
    const { queued, inFlight, inMemory, memoryBytes } = this.#sender;
    const session = { phase: this.#phase, standby: this.#standby, holder: this.#holder, received: this.#received };
    const { unread, lanesBehind } = this.#intake;
    const heardMsAgo = this.#heardAt === 0 ? null : this.#clock.now() - this.#heardAt;
    const health = { stalled: this.#stalled, unread, heardMsAgo, isWritable: this.#unwritable === null };
    return { ...session, ...health, lanesBehind, queued, inFlight, inMemory, memoryBytes };
  }

  /** What there is of each host in memory; more to compute than the `state`. */
  get load(): Sender["load"] {
    return this.#sender.load;
  }

  /** The lanes of which something is in memory, the busiest first, and whether each is behind. */
  lanes(most: number): readonly (LaneActivity & { readonly isBehind: boolean })[] {
    if (!mayStart(this.#phase)) return [];
    return this.#sender.lanes(most).map((lane) => ({ ...lane, isBehind: this.#intake.isBehind(lane.lane) }));
  }

  /** Reads the outbox, and ends what holds places that others need, until `signal` fires. */
  readonly run: Loop = (signal) => {
    const held = endHeldPlaces({ sender: this.#sender, mayStart: () => this.#canStart, clock: this.#clock });
    return runLoops(signal, [(one) => this.#intake.read(one), held, this.#startUnread]);
  };

  /** P6: settings that cannot be read hold up nobody for long. */
  readonly #startUnread: Loop = async (signal) => {
    while (!signal.aborted) {
      await this.#hostsChanged.wait(null, this.#clock, signal);
      await this.#clock.sleep(HOSTS_READ_WITHIN_MS, signal);
      this.#pump();
    }
  };

  // What the session reports.

  standby(holder: LockHolder | null, server: ServerIdentity): void {
    if (!this.#join(server)) this.#cut(false);
    this.#standby = true;
    this.#holder = holder;
    if (holder === null || !isStranger(holder)) {
      this.#log.info({ holder }, "another pgnetd leads this database; standing by");
    } else {
      const hint = endHint(holder);
      this.#log.warn({ holder, hint }, "a session that is no pgnetd has the leader's lock: no request starts");
    }
  }

  leading(server: ServerIdentity): void {
    this.#cut(this.#join(server));
    this.#standby = false;
    this.#knowsHosts = false;
    this.#control.leading();
    this.#move("leading");
  }

  /** False after a failover or a restore: the connections to the server of before are dropped, and its history is over. */
  #join(server: ServerIdentity): boolean {
    if (this.#history.continuesAt(server)) return true;
    this.#received = null;
    this.#reconnect();
    return false;
  }

  streaming(): void {
    // P2: a change from before the stream may be visible only later.
    this.#changed.add(HOST_SETTINGS_TABLE);
    this.#control.streaming();
    this.#cut(true);
    this.#move("streaming");
  }

  /** P3: a leader that was not heard for long may have been replaced; see `#pump`. */
  heard(at: number): void {
    const wasFenced = this.#isFenced;
    this.#heardAt = Math.max(this.#heardAt, at);
    if (wasFenced) this.#pump();
    this.#intake.received();
  }

  asked(): void {
    this.#intake.asked();
  }

  answered(position: Lsn): void {
    this.#intake.answered(position);
  }

  get #isFenced(): boolean {
    return this.#clock.now() - this.#heardAt > this.#settings.fenceMs;
  }

  /** The session ended: nothing more is started, what is in flight ends. */
  lost(): void {
    this.#standby = false;
    this.#cut(true);
    this.#move("lost");
  }

  begin(transaction: Begin): void {
    this.#committedAt = transaction.committedAt;
    this.#history.begin(transaction);
    this.#intake.begin(transaction);
  }

  insert(table: string, row: Readonly<Record<string, unknown>>): void {
    if (table !== this.#settings.outboxTable) return this.change(table);
    const lane = laneOfRow(row);
    // A flood brings a million rows of a lane that is behind: what is dropped in any case is not parsed.
    if (this.#intake.drops(lane)) this.#intake.skip();
    else this.#intake.row(readRow(row, this.#settings.rows, { lane, committedAt: this.#committedAt }));
  }

  /** What changed is read at once, and again when it is visible for certain. Of the outbox only inserts matter, and wal2json brings all. */
  change(table: string): void {
    if (table === this.#settings.outboxTable) return;
    if (table === HOST_SETTINGS_TABLE && this.#hostsChangedAt === null) {
      this.#hostsChangedAt = this.#clock.now();
      this.#hostsChanged.notify();
    }
    this.#control.changed(table);
    this.#changed.add(table);
    this.#intake.watch();
  }

  #swept(isEveryBehind: boolean): void {
    this.#move(isEveryBehind ? "every-lane-behind" : "swept");
    // P2: nobody says when these are visible, and it may be for want of them that lanes stay behind.
    if (isEveryBehind) this.#readChanged();
    if (this.#phase === "polling") this.#control.polled();
  }

  #visible(): void {
    this.#readChanged();
    this.#changed.clear();
  }

  #readChanged(): void {
    for (const table of this.#changed) this.#control.changed(table);
  }

  /** The owner has cancelled every request: those not started are given up; what came after is read from the outbox. */
  truncate(table: string): void {
    if (table !== this.#settings.outboxTable) return this.change(table);
    this.#cut(true);
    this.#move("truncated");
  }

  message(content: string): void {
    this.#control.message(content);
  }

  commit(): void {
    this.#intake.commit();
  }

  received(position: Lsn): void {
    this.#received = position;
  }

  // What the other parts report.

  #handle(event: DispatcherEvent): void {
    switch (event.kind) {
      case "settled":
        return this.#settled(event.completions);
      case "gone":
        // P2: ids of commits that a failover lost are given again, and those of a sequence that was restarted.
        return this.#intake.dueIn(0);
      case "read-outbox":
        return event.when === "now" ? this.#intake.ask() : this.#intake.watch(event.when === "visible");
      case "writable":
        this.#unwritable = event.why;
        break;
      case "permit":
        if (event.host !== null) this.#sender.release(event.host);
        break;
      case "answers-have-room":
        this.#sender.answersHaveRoom();
        break;
      case "hosts-configured":
        this.#sender.configureHosts(event.settings);
        this.#knowsHosts = true;
        if (event.isLatest) this.#hostsChangedAt = null;
        break;
    }
    this.#pump();
  }

  #settled(completions: readonly Completion[]): void {
    this.#sender.settled(completions);
    for (const completion of completions) if (completion.kind === "deferred") this.#intake.dueIn(completion.delayMs);
    this.#intake.changed();
  }

  get #canStart(): boolean {
    return mayStart(this.#phase) && this.#stalled === null;
  }

  get #stalled(): string | null {
    if (!mayStart(this.#phase)) return null;
    if (this.#unwritable !== null) return `no request starts, since results cannot be written: ${this.#unwritable}`;
    if (!this.#knowsHosts || this.#areHostsUnread) return "no request starts until the settings of hosts are read";
    return this.#isFenced ? "no request starts until the database is heard again" : null;
  }

  get #areHostsUnread(): boolean {
    return this.#hostsChangedAt !== null && this.#clock.now() - this.#hostsChangedAt < HOSTS_READ_WITHIN_MS;
  }

  /** Starts what may start now. Called whenever a row, a permit or a place becomes free. */
  #pump(): void {
    if (!this.#canStart) return;
    this.#sender.start();
    this.#intake.changed();
  }

  /** Starts nothing more, gives up what was not started, and resolves when the rest has ended and is written. */
  async stop(signal: AbortSignal): Promise<void> {
    this.#cut(true);
    this.#move("stop");
    await this.#sender.empty(signal);
  }

  #cut(sameHistory: boolean): void {
    this.#intake.cut(sameHistory);
    this.#sender.clear();
  }

  #move(event: PhaseEvent): void {
    const phase = nextPhase(this.#phase, event);
    if (phase === this.#phase) return;
    this.#log.info({ from: this.#phase, to: phase }, "phase");
    this.#phase = phase;
    this.#intake.changed();
  }
}
