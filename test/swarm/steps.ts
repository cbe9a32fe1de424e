/** What one request is like. */
export interface Shape {
  readonly destination: number;
  readonly method: "POST" | "GET" | "PUT";
  readonly via: "call" | "insert";
  readonly bodyBytes: number;
  /** The destination answers with 503 so often before it answers well. */
  readonly failures: number;
  readonly maxAttempts: number;
  readonly delayMs: number | null;
  readonly lane: string | null;
  readonly ownKey: boolean;
  readonly deduplicated: boolean;
}

/** How a transaction of a caller ends, or what else it is like. */
export type Ending = "commit" | "rollback" | "savepoint" | "prepared" | "asynchronous" | "synchronous";

/** What a caller does. */
export type Call =
  | {
      readonly kind: "insert";
      readonly transactions: number;
      readonly rows: number;
      readonly everyMs: number;
      readonly openMs: number;
      readonly ending: Ending;
      readonly shape: Shape;
    }
  | {
      readonly kind: "cancel";
      /** Only what is not due within the next seconds, so that it cannot be in flight. */
      readonly onlyDeferred: boolean;
      readonly openMs: number;
      readonly commits: boolean;
    }
  | { readonly kind: "truncate" }
  | { readonly kind: "replay" }
  | {
      readonly kind: "host settings";
      readonly destination: number;
      readonly rate: number | null;
      readonly concurrency: number | null;
      readonly paused: boolean;
    }
  | { readonly kind: "worker restart" }
  | { readonly kind: "wake" };

/** Connections that a fault of the network meets. */
export type Connections = "replication" | "sql" | "all";

/** How a receiver behaves badly. */
export type Misconduct =
  | "refuse"
  | "hang"
  | "late"
  | "lose"
  | "garbage"
  | "reset"
  | "close"
  | "slow"
  | "busy"
  | "large answer";

/** What goes wrong for a while. `daemon` is an index. */
export type Fault = { readonly forMs: number } & (
  | { readonly kind: "kill" | "stop" | "pause"; readonly daemon: number }
  | { readonly kind: "server crash" | "server restart" }
  | { readonly kind: "cut" | "half-open" | "cut off"; readonly daemon: number; readonly connections: Connections }
  | { readonly kind: "end walsender" | "end pool" | "drop slot" }
  | { readonly kind: "row locks" | "snapshot" | "absent standby" }
  | { readonly kind: Misconduct; readonly destination: number; readonly share: number }
);

/** Kind of a fault. */
export type FaultKind = Fault["kind"];

/** Something that happens at a time, in milliseconds from the beginning. */
export type Step = { readonly atMs: number } & (
  | { readonly is: "call"; readonly call: Call }
  | { readonly is: "fault"; readonly fault: Fault }
);

/** True where the fault is of a receiver. */
export function isMisconduct(fault: Fault): fault is Extract<Fault, { readonly destination: number }> {
  return "destination" in fault;
}

/** True where PostgreSQL itself goes away. */
export function stopsServer({ kind }: Fault): boolean {
  return kind === "server crash" || kind === "server restart";
}
