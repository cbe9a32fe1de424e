import type { Snapshot } from "../../src/pg/snapshot.ts";

/** What a sweep is compared by. Requests and transactions are numbered from 0 in the order in which they were made. */
export interface SweptRows {
  readonly requests: readonly number[];
  readonly left: readonly string[];
  readonly isDueLater: boolean;
  readonly snapshot: Snapshot;
}

/** What a statement that stores results is compared by. */
export interface Stored {
  readonly missing: readonly number[];
  readonly locked: readonly number[];
}

/** A request as a short history makes it. */
export interface ShortRequest {
  readonly host: string;
  /** It is deferred: it is due long ago, or in an hour; null where it is not. */
  readonly due: "ago" | "later" | null;
}

/** A server, real or simulated, on which a short history runs. */
export interface Subject {
  /** Begins a transaction of user `user` with one request, and resolves to its id. */
  insert(user: number, request: ShortRequest): Promise<bigint>;
  /** The owner deletes a request in the transaction of `user`; nothing where it is not there. It must not be locked by another. */
  cancel(user: number, request: number): Promise<void>;
  end(user: number, commits: boolean): Promise<void>;
  truncate(): Promise<void>;
  message(content: string): Promise<void>;
  /** A sweep with room for `perLane` requests of a lane, without the `known` ones. */
  sweep(perLane: number, known: readonly number[]): Promise<SweptRows>;
  /** Results of these requests are stored: all answered, all dead, or all deferred by an hour. */
  store(kind: "answered" | "dead" | "deferred", requests: readonly number[]): Promise<Stored>;
  /** What the stream has brought since the beginning, as lines. */
  streamed(): Promise<readonly string[]>;
}

/** The lines of a stream, with requests and transactions by their numbers. */
export class StreamLines {
  readonly lines: string[] = [];
  readonly #requestOf: (created: string, id: string) => number;

  constructor(requestOf: (created: string, id: string) => number) {
    this.#requestOf = requestOf;
  }

  readonly begin = (): void => void this.lines.push("begin");
  readonly relation = (): void => undefined;
  readonly insert = (_table: string, row: Readonly<Record<string, unknown>>): void => {
    const deferred = row["next_attempt_at"] === null ? "" : " deferred";
    this.lines.push(`request ${this.#requestOf(String(row["created"]), String(row["id"]))}${deferred}`);
  };
  readonly change = (table: string): void => void this.lines.push(`change of ${table}`);
  readonly truncate = (table: string): void => void this.lines.push(`truncate ${table}`);
  readonly message = (content: string): void => void this.lines.push(`message ${content}`);
  readonly commit = (): void => void this.lines.push("commit");
}
