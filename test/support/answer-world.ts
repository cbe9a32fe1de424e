import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import { type AnswerBounds, type AnswerMemory, answerParts, FIXED_BYTES } from "../../src/limits/answer-memory.ts";
import { FakeClock } from "./fake-clock.ts";

/** What a server answers. */
export interface ServerAnswer {
  readonly host: string;
  /** As received. */
  readonly bytes: number;
  /** As decoded; null where it is as received. */
  readonly decoded: number | null;
  /** The length is known before. */
  readonly announced: boolean;
  /** Its row stays locked until the end. */
  readonly locked: boolean;
}

type Stage = "receiving" | "decoding" | "whole";

interface Answer {
  readonly of: ServerAnswer;
  readonly memory: AnswerMemory;
  stage: Stage;
  received: number;
  /** Bytes of content in memory. */
  held: number;
  isWaiting: boolean;
  isLocked: boolean;
}

/** Servers that send as fast as they may, a decoder and a database around the real budget. Nothing happens but by its methods. */
export class AnswerWorld {
  readonly clock = new FakeClock();
  readonly budget: AnswerBudget;
  readonly #bounds: AnswerBounds;
  readonly #chunk: number;
  #answers: Answer[] = [];
  /** Hosts of the answers that were stored. */
  readonly stored: string[] = [];
  mostBytes = 0;

  constructor(bounds: AnswerBounds, chunk: number) {
    this.#bounds = bounds;
    this.#chunk = chunk;
    this.budget = new AnswerBudget({ bounds, clock: this.clock, onRoom: () => undefined });
  }

  /** Bytes in memory now, counted as they are and not as the budget counts. */
  get bytes(): number {
    return this.#answers.reduce((sum, { held, stage }) => sum + held + (stage === "whole" ? FIXED_BYTES : 0), 0);
  }

  get inFlight(): number {
    return this.#answers.filter(({ stage }) => stage !== "whole").length;
  }

  start(of: ServerAnswer): boolean {
    if (this.inFlight >= this.#bounds.inFlight || !this.budget.mayStart(of.host)) return false;
    const memory = this.budget.open(of.host);
    this.#answers.push({ of, memory, stage: "receiving", received: 0, held: 0, isWaiting: false, isLocked: of.locked });
    return true;
  }

  /** One answer gets on as far as one step takes it; false where none can. */
  step(which: number): boolean {
    const able = this.#answers.filter((answer) => !answer.isWaiting && !(answer.stage === "whole" && answer.isLocked));
    const answer = able[which % Math.max(1, able.length)];
    if (answer === undefined) return false;
    if (answer.stage === "receiving") this.#receive(answer);
    else if (answer.stage === "decoding") this.#finish(answer);
    else this.#store(answer);
    this.mostBytes = Math.max(this.mostBytes, this.bytes);
    return true;
  }

  #receive(answer: Answer): void {
    const { of, memory } = answer;
    if (answer.received === of.bytes) {
      if (of.decoded === null) this.#finish(answer);
      else this.#decode(answer, of.decoded);
      return;
    }
    answer.received = Math.min(of.bytes, answer.received + this.#chunk);
    answer.held = answer.received;
    const goOn = (): void => {
      answer.isWaiting = false;
    };
    answer.isWaiting = !memory.received(answer.received, of.announced ? of.bytes : null, { goOn });
  }

  #decode(answer: Answer, decoded: number): void {
    answer.stage = "decoding";
    if (answer.memory.spare(decoded) >= decoded) return;
    answer.isWaiting = true;
    const goOn = (): void => {
      answer.isWaiting = false;
      answer.held += this.#bounds.largest;
    };
    answer.memory.decodeInTurn({ goOn });
  }

  #finish(answer: Answer): void {
    const { of, memory } = answer;
    answer.stage = "whole";
    answer.held = of.decoded ?? of.bytes;
    memory.finish(answer.held);
    if (answer.isLocked) memory.block();
  }

  #store(answer: Answer): void {
    answer.memory.release();
    this.#answers = this.#answers.filter((one) => one !== answer);
    this.stored.push(answer.of.host);
  }

  /** Every lock is released. */
  unlock(): void {
    for (const answer of this.#answers) answer.isLocked = false;
  }

  /** One answer is given up in the middle, as at a timeout. */
  giveUp(which: number): void {
    const [gone] = this.#answers.splice(which % Math.max(1, this.#answers.length), 1);
    gone?.memory.release();
  }

  /** Bytes that the parts of those in flight and one chunk for each of them may take beyond what is charged. */
  get slack(): number {
    const { small } = answerParts(this.#bounds);
    return this.#bounds.inFlight * this.#chunk + small;
  }

  get left(): readonly string[] {
    return this.#answers.map(({ of, stage, isWaiting }) => `${of.host} ${stage}${isWaiting ? " waiting" : ""}`);
  }
}
