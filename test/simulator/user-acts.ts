import type { Referee } from "./referee.ts";
import type { Transaction } from "./server/database.ts";
import type { Server } from "./server/server.ts";
import type { Act } from "./steps.ts";
import { after } from "./virtual-time.ts";

type UserAct = Extract<
  Act,
  { readonly kind: "insert" | "elsewhere" | "cancel" | "truncate" | "settings" | "wake" | "restart" }
>;

/** A truncation waits no longer than this for those who insert, in milliseconds. */
const TRUNCATE_MS = 200;

/** What callers do in SQL. */
export class UserActs {
  readonly #server: Server;
  readonly #referee: Referee;
  readonly #open = new Set<Transaction>();

  constructor(server: Server, referee: Referee) {
    this.#server = server;
    this.#referee = referee;
  }

  act(act: UserAct): void {
    const { database } = this.#server;
    switch (act.kind) {
      case "insert": {
        const by = this.#begin();
        by.decodeMs = act.decodeMs;
        for (const shape of act.rows) database.insert(by, shape);
        this.#end(by, act.openMs, act.commits, act.flushMs);
        return;
      }
      case "elsewhere": {
        const by = this.#begin();
        by.decodeMs = act.decodeMs;
        this.#end(by, act.openMs, true);
        return;
      }
      case "cancel": {
        const rows = this.#referee.waiting();
        const row = rows[act.which % Math.max(1, rows.length)];
        if (row === undefined) return;
        const by = this.#begin();
        if (!database.lock(by, row)) return database.abort(by);
        if (act.commits) database.end(by, row, "cancelled");
        this.#end(by, act.openMs, act.commits);
        return;
      }
      case "truncate":
        return this.#truncate(act.restartIdentity, TRUNCATE_MS);
      case "settings": {
        const by = this.#begin();
        const { hosts } = this.#server;
        const before = hosts.get(act.host);
        const set = (row: typeof before): void => {
          if (row === undefined) hosts.delete(act.host);
          else hosts.set(act.host, row);
        };
        by.effects.push({ apply: () => set(act.row ?? undefined), undo: () => set(before) });
        by.streamed.push({ kind: "settings" });
        this.#end(by, act.openMs, true);
        return;
      }
      case "wake": {
        const by = this.#begin();
        by.streamed.push({ kind: "message", content: '{"command":"wake"}', lsn: database.insertLsn });
        this.#end(by, 1, true);
        return;
      }
      case "restart":
        return database.emit('{"command":"restart"}');
    }
  }

  #begin(): Transaction {
    const by = this.#server.database.begin();
    this.#open.add(by);
    return by;
  }

  #end(by: Transaction, openMs: number, commits: boolean, flushMs: number | null = null): void {
    after(openMs, null, () => {
      this.#open.delete(by);
      if (commits) this.#server.commit(by, undefined, flushMs);
      else this.#server.database.abort(by);
    });
  }

  /** Not before everybody who writes has ended. */
  #truncate(restartIdentity: boolean, waitsMs: number): void {
    const { database } = this.#server;
    if ([...database.running].some(({ rows, locks }) => rows.length > 0 || locks.length > 0)) {
      if (waitsMs > 0) after(5, null, () => this.#truncate(restartIdentity, waitsMs - 5));
      return;
    }
    const by = database.begin();
    const rows = this.#referee.waiting();
    for (const row of rows) database.end(by, row, "cancelled");
    by.streamed.push({ kind: "truncate", rows });
    database.record(by, null);
    database.reveal(by);
    if (restartIdentity) database.nextId = 1n;
  }

  /** What is open ends. */
  finish(): void {
    for (const by of this.#open) this.#server.database.abort(by);
    this.#open.clear();
  }

  unpause(): void {
    const { hosts, database } = this.#server;
    const paused = [...hosts].filter(([, { paused }]) => paused);
    if (paused.length === 0) return;
    const by = database.begin();
    by.effects.push({
      apply: () => {
        for (const [host, row] of paused) hosts.set(host, { ...row, paused: false });
      },
      undo: () => undefined,
    });
    by.streamed.push({ kind: "settings" });
    database.record(by, null);
    database.reveal(by);
  }
}
