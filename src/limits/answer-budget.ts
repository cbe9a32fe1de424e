import type { Clock } from "../base/clock.ts";
import { AutoResetEvent } from "../base/auto-reset-event.ts";
import { Claim, type ClaimOwner, type Destination } from "./answer-claim.ts";
import type { AnswerBounds, AnswerMemory } from "./answer-memory.ts";
import { AnswerShares } from "./answer-shares.ts";

/** An answer that is received asks for as much again as it has, within these, in bytes. */
const LEAST_STEP = 65_536;
const MOST_STEP = 1_048_576;

/** What a budget needs. */
export interface AnswerBudgetOptions {
  readonly bounds: AnswerBounds;
  readonly clock: Pick<Clock, "now">;
  /** Called, never from within `mayStart`, when a destination that was refused a start may have room. */
  readonly onRoom: () => void;
}

/** A destination whose requests do not start for lack of room. */
export interface HeldDestination {
  readonly name: string;
  readonly since: number;
  /** Its answers in memory, and their bytes. */
  readonly answers: number;
  readonly bytes: number;
}

/** The memory for answers, from their first byte until they are stored: whose turn it is to get some. `AnswerShares` says how much. */
export class AnswerBudget implements ClaimOwner {
  readonly #options: AnswerBudgetOptions;
  readonly #shares: AnswerShares;
  readonly #destinations = new Map<string, Destination>();
  /** Those with answers that wait, in the order of their turns. */
  readonly #waiting = new Set<Destination>();
  /** For who reports that: a destination was refused a start. */
  readonly refusal = new AutoResetEvent();
  #wasRefused = false;
  #isPlanned = false;

  constructor(options: AnswerBudgetOptions) {
    this.#options = options;
    this.#shares = new AnswerShares(options.bounds);
  }

  /** Bytes charged to all answers. */
  get bytes(): number {
    return [...this.#destinations.values()].reduce((sum, { used }) => sum + used, 0);
  }

  /** P6: false where the answers of this destination hold its share. When false, `onRoom` follows as soon as that may be over. */
  mayStart(name: string): boolean {
    const destination = this.#destinations.get(name);
    const may = this.#hasRoom(destination);
    if (destination !== undefined && may) destination.heldSince = null;
    else if (destination !== undefined && destination.heldSince === null) {
      destination.heldSince = this.now;
      this.refusal.notify();
    }
    if (!may) this.#wasRefused = true;
    return may;
  }

  #hasRoom(destination: Destination | undefined): boolean {
    return (destination === undefined || !isWaiting(destination)) && this.#shares.hasRoom(destination);
  }

  /** Opens the memory of one answer. */
  open(name: string): AnswerMemory {
    let destination = this.#destinations.get(name);
    if (destination === undefined) {
      const nothing = { answers: 0, used: 0, whole: 0, blocked: 0, ahead: null, servedAt: 0, heldSince: null };
      destination = { name, ...nothing, receiving: [], decoding: [] };
      this.#destinations.set(name, destination);
    }
    destination.answers++;
    return new Claim(this, destination, this.#shares.small);
  }

  /** Destinations whose requests do not start for lack of room. */
  get held(): readonly HeldDestination[] {
    return [...this.#destinations.values()].flatMap((destination) => {
      const { name, heldSince, answers, used } = destination;
      if (heldSince === null || this.#hasRoom(destination)) return [];
      return [{ name, since: heldSince, answers, bytes: used }];
    });
  }

  get now(): number {
    return this.#options.clock.now();
  }

  // What claims ask.

  grow(claim: Claim, bytes: number, expected: number | null): boolean {
    const { account } = claim;
    const step = Math.min(Math.max(claim.allowed, LEAST_STEP), MOST_STEP);
    claim.wanted = Math.max(bytes, Math.min(claim.allowed + step, expected ?? Infinity));
    const isNext = account.receiving.length === 0 || account.ahead === claim;
    if (isNext && this.#grant(claim)) {
      if (isWaiting(account)) account.servedAt = this.now;
      return true;
    }
    this.#wait(claim, account.receiving);
    return false;
  }

  #grant(claim: Claim): boolean {
    if (!this.#shares.grow(claim, claim.wanted)) return false;
    claim.allowed = claim.wanted;
    return true;
  }

  spare(claim: Claim, most: number): number {
    return this.#shares.spare(claim, most);
  }

  decodeInTurn(claim: Claim, received: number): void {
    claim.wanted = received;
    this.#wait(claim, claim.account.decoding);
    this.#plan();
  }

  #wait(claim: Claim, queue: Claim[]): void {
    claim.waits();
    queue.push(claim);
    this.#waiting.add(claim.account);
  }

  restart(claim: Claim): void {
    this.#leave(claim);
    this.#shares.giveUp(claim);
    claim.allowed = this.#shares.small;
    this.#plan();
  }

  finish(claim: Claim, bytes: number): void {
    this.#leave(claim);
    this.#shares.finish(claim, bytes);
    this.#plan();
  }

  block(claim: Claim): void {
    this.#shares.block(claim);
  }

  release(claim: Claim): void {
    const { account } = claim;
    this.#leave(claim);
    this.#shares.giveUp(claim);
    account.answers--;
    if (account.answers === 0) this.#destinations.delete(account.name);
    this.#plan();
  }

  #leave(claim: Claim): void {
    const { account } = claim;
    if (!isWaiting(account)) return;
    account.servedAt = this.now;
    claim.waitsNoMore();
    remove(account.receiving, claim);
    remove(account.decoding, claim);
    if (!isWaiting(account)) this.#waiting.delete(account);
  }

  // Turns.

  /** Serves those who wait, after whatever goes on now: no answer can be received from within the receiving of another. */
  #plan(): void {
    if (this.#isPlanned || (this.#waiting.size === 0 && !this.#wasRefused)) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.#serve();
    });
  }

  #serve(): void {
    this.#shares.settle();
    const turns = [...this.#waiting];
    for (const destination of turns) {
      if (!this.#serveOne(destination)) continue;
      this.#waiting.delete(destination);
      if (isWaiting(destination)) this.#waiting.add(destination);
    }
    if (!this.#wasRefused) return;
    this.#wasRefused = false;
    this.#options.onRoom();
  }

  /** True where an answer of this destination got on. */
  #serveOne(destination: Destination): boolean {
    const { receiving, decoding } = destination;
    let wasServed = false;
    for (let next = decoding[0]; next !== undefined && this.#shares.decode(next, next.wanted); next = decoding[0]) {
      this.#goOn(next, decoding);
      wasServed = true;
    }
    for (let next = nextOf(destination); next !== undefined && this.#grant(next); next = nextOf(destination)) {
      this.#goOn(next, receiving);
      wasServed = true;
    }
    return wasServed;
  }

  #goOn(claim: Claim, queue: Claim[]): void {
    remove(queue, claim);
    claim.account.servedAt = this.now;
    claim.waitsNoMore();
    claim.waiter?.goOn();
  }
}

function isWaiting({ receiving, decoding }: Destination): boolean {
  return receiving.length + decoding.length > 0;
}

/** Which answer is received further next. */
function nextOf({ ahead, receiving }: Destination): Claim | undefined {
  return receiving.find((claim) => claim === ahead) ?? receiving[0];
}

function remove(queue: Claim[], claim: Claim): void {
  const at = queue.indexOf(claim);
  if (at !== -1) queue.splice(at, 1);
}
