/** Where the dispatcher stands between start and stop. */
export type Phase =
  /** Another daemon leads, or there is no connection: nothing is started. */
  | "not-leading"
  /** Leading without a stream: the outbox is swept once a second. */
  | "polling"
  /** Leading with a stream, and every lane is behind: the outbox is swept as fast as rows are sent, the stream's rows are dropped. */
  | "catch-up"
  /** Leading: the stream's rows go straight to sending, except those of lanes that are behind. */
  | "live"
  /** Nothing more is started; what is in flight ends and is written. */
  | "stopping";

/** What moves the dispatcher from phase to phase. */
export type PhaseEvent =
  /** The leader's lock is held. */
  | "leading"
  /** Every commit from here on reaches the stream. */
  | "streaming"
  /** The session, and with it the lock, is gone. */
  | "lost"
  /** Every lane is behind: a sweep failed or was partial, or too many transactions or lanes would have to be remembered. */
  | "every-lane-behind"
  /** The owner truncated the outbox. */
  | "truncated"
  /** After a sweep not every lane is behind. */
  | "swept"
  /** The daemon was asked to stop. */
  | "stop";

const TABLE: Record<Phase, Record<PhaseEvent, Phase>> = {
  "not-leading": {
    leading: "polling",
    streaming: "not-leading",
    lost: "not-leading",
    "every-lane-behind": "not-leading",
    truncated: "not-leading",
    swept: "not-leading",
    stop: "stopping",
  },
  polling: {
    leading: "polling",
    streaming: "catch-up",
    lost: "not-leading",
    "every-lane-behind": "polling",
    truncated: "polling",
    swept: "polling",
    stop: "stopping",
  },
  "catch-up": {
    leading: "polling",
    streaming: "catch-up",
    lost: "not-leading",
    "every-lane-behind": "catch-up",
    truncated: "catch-up",
    swept: "live",
    stop: "stopping",
  },
  live: {
    leading: "polling",
    streaming: "catch-up",
    lost: "not-leading",
    "every-lane-behind": "catch-up",
    truncated: "catch-up",
    swept: "live",
    stop: "stopping",
  },
  stopping: {
    leading: "stopping",
    streaming: "stopping",
    lost: "stopping",
    "every-lane-behind": "stopping",
    truncated: "stopping",
    swept: "stopping",
    stop: "stopping",
  },
};

/** The phase after `event`. Total: an event that means nothing in a phase leaves it. */
export function nextPhase(phase: Phase, event: PhaseEvent): Phase {
  return TABLE[phase][event];
}

/** True in the phases in which this daemon holds the leader's lock and may start requests. */
export function mayStart(phase: Phase): boolean {
  return phase === "polling" || phase === "catch-up" || phase === "live";
}
