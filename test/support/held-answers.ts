import type { Receiver } from "./receiver.ts";

/** Requests whose answers are held back. */
export interface HeldAnswers {
  /** How many are held now. */
  readonly count: number;
  /** Answers those held now. */
  release(): void;
  /** Answers these and all that come from now on. */
  end(): void;
}

/** Holds back the answers of `receiver` from now on, but for the `first` requests. */
export function holdAnswers(receiver: Receiver, first = 0): HeldAnswers {
  const held: (() => void)[] = [];
  receiver.behave((_request, index) => {
    if (index < first) return { kind: "answer" };
    const { promise, resolve } = Promise.withResolvers<undefined>();
    held.push(() => resolve(undefined));
    return { kind: "answer", after: promise };
  });
  const release = (): void => {
    for (const answer of held.splice(0)) answer();
  };
  return {
    get count() {
      return held.length;
    },
    release,
    end: () => {
      receiver.behave({ kind: "answer" });
      release();
    },
  };
}
