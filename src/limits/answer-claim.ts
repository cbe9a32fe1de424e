import type { AnswerMemory, AnswerWaiter } from "./answer-memory.ts";
import type { Account, Holding } from "./answer-shares.ts";

/** One destination, as long as it has answers in memory. */
export interface Destination extends Account {
  readonly name: string;
  answers: number;
  /** Answers that wait to be received further, and to be decoded, the first first. */
  readonly receiving: Claim[];
  readonly decoding: Claim[];
  /** When one of them last got on. */
  servedAt: number;
  heldSince: number | null;
}

/** What a claim asks of the budget that it is part of. */
export interface ClaimOwner {
  readonly now: number;
  /** Lets it be received to `bytes` in all, or has it wait. */
  grow(claim: Claim, bytes: number, expected: number | null): boolean;
  spare(claim: Claim, most: number): number;
  decodeInTurn(claim: Claim, received: number): void;
  restart(claim: Claim): void;
  finish(claim: Claim, bytes: number): void;
  block(claim: Claim): void;
  release(claim: Claim): void;
}

/** What one answer has of the budget. */
export class Claim implements AnswerMemory, Holding {
  readonly account: Destination;
  charged = 0;
  isWhole = false;
  isBlocked = false;
  /** Bytes that may be received without asking. */
  allowed: number;
  /** What it waits for, in bytes. */
  wanted = 0;
  waiter: AnswerWaiter | null = null;
  readonly #budget: ClaimOwner;
  #received = 0;
  #waitedMs = 0;
  #waitingSince: number | null = null;
  #isReleased = false;

  constructor(budget: ClaimOwner, account: Destination, allowed: number) {
    this.#budget = budget;
    this.account = account;
    this.allowed = allowed;
  }

  received(bytes: number, expected: number | null, waiter: AnswerWaiter): boolean {
    this.#received = bytes;
    if (bytes <= this.allowed) return true;
    // A connection that ends hands over what it still has, waiting or not.
    if (this.#waitingSince !== null) return false;
    this.waiter = waiter;
    return this.#budget.grow(this, bytes, expected);
  }

  restart(): void {
    this.#budget.restart(this);
  }

  spare(most: number): number {
    return this.#budget.spare(this, most);
  }

  decodeInTurn(waiter: AnswerWaiter): void {
    this.waiter = waiter;
    this.#budget.decodeInTurn(this, this.#received);
  }

  finish(bytes: number): void {
    if (!this.#isReleased) this.#budget.finish(this, bytes);
  }

  block(): void {
    if (!this.#isReleased) this.#budget.block(this);
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#budget.release(this);
  }

  waits(): void {
    this.#waitingSince = this.#budget.now;
  }

  waitsNoMore(): void {
    this.#waitedMs = this.waitedMs;
    this.#waitingSince = null;
  }

  get waitedMs(): number {
    return this.#waitedMs + (this.#waitingSince === null ? 0 : this.#budget.now - this.#waitingSince);
  }

  get stuckMs(): number {
    if (this.#waitingSince === null) return 0;
    return this.#budget.now - Math.max(this.#waitingSince, this.account.servedAt);
  }
}
