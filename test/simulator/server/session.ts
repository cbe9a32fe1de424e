import type { SentStatement, SimulatedClient, StatementResult } from "../client.ts";
import type { Link, LinkEnd } from "../link.ts";
import { after, virtualNow } from "../virtual-time.ts";
import { refusal } from "./errors.ts";
import type { Server } from "./server.ts";
import type { WalSender } from "./wal-sender.ts";

/** One session of the server. */
export class Session implements LinkEnd {
  readonly pid: number;
  readonly application: string;
  readonly isReplication: boolean;
  readonly link: Link;
  readonly client: SimulatedClient;
  readonly #server: Server;
  isAlive = true;
  /** What its role may do is that of a daemon's. */
  readonly mayLead = true;
  /** The server gives up an idle connection whose peer does not answer: `tcp_keepalives_*`. */
  keepaliveMs = 5_000;
  idleTimeoutMs = 0;
  senderTimeoutMs = 60_000;
  lockTimeoutMs = 0;
  walSender: WalSender | null = null;
  /** Called when the answer to the statement under way arrives. */
  beforeAnswer: (() => void) | null = null;
  /** A statement is under way. */
  #isBusy = false;
  #heardAt = virtualNow();
  /** Undoes what the statement under way waits for. */
  cancelWait: (() => void) | null = null;

  constructor(
    server: Server,
    link: Link,
    client: SimulatedClient,
    options: { pid: number; application: string; isReplication: boolean },
  ) {
    this.#server = server;
    this.link = link;
    this.client = client;
    this.pid = options.pid;
    this.application = options.application;
    this.isReplication = options.isReplication;
  }

  ask(statement: SentStatement): void {
    if (!this.isAlive) return;
    this.#heardAt = virtualNow();
    this.#isBusy = true;
    this.#server.execute(this, statement, (error, result) => this.#answer(error, result));
  }

  #answer(error: Error | null, result: StatementResult | null): void {
    if (!this.isAlive) return;
    this.#isBusy = false;
    this.#heardAt = virtualNow();
    this.#watchIdle();
    if (this.#server.losesAnswer(this)) {
      this.link.reset();
      return;
    }
    const { beforeAnswer } = this;
    this.beforeAnswer = null;
    this.link.toClient(() => {
      beforeAnswer?.();
      this.client.answered(error, result);
    });
  }

  #watchIdle(): void {
    if (this.idleTimeoutMs === 0) return;
    const since = this.#heardAt;
    after(this.idleTimeoutMs, null, () => {
      if (this.isAlive && !this.#isBusy && this.#heardAt === since) this.end("57P05");
    });
  }

  copied(chunk: Buffer): void {
    if (this.isAlive) this.walSender?.received(chunk);
  }

  goodbye(): void {
    this.end(null);
  }

  closed(reason: "closed" | "reset"): void {
    // Its process hears of that when it goes on.
    if (reason === "reset" && this.link.owner.pausedUntil > virtualNow()) this.#server.stops.push(virtualNow());
    // What a statement does it does to its end; a session that waits for a lock notices within a second.
    if (this.cancelWait !== null) after(500, null, () => this.end(null));
    else this.end(null);
  }

  /** The network between them says nothing any more, and the server's own probes end the session. */
  notHeard(): void {
    after(this.keepaliveMs, null, () => this.end(null));
  }

  /** Ends it as an administrator does, or the server itself. */
  terminate(): void {
    this.#server.stops.push(virtualNow());
    this.end("57P01");
  }

  /** Ends it, with its locks; with an error where there is a SQLSTATE for it. */
  end(sqlstate: string | null): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.cancelWait?.();
    this.cancelWait = null;
    this.walSender?.end();
    this.#server.ended(this);
    if (sqlstate !== null && this.#isBusy)
      this.link.toClient(() => this.client.answered(refusal(sqlstate, "the session is ended"), null));
    this.link.closeServer();
  }
}
