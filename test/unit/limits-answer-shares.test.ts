import { describe, expect, test } from "vitest";
import { answerParts, FIXED_BYTES } from "../../src/limits/answer-memory.ts";
import { type Account, AnswerShares, type Holding } from "../../src/limits/answer-shares.ts";

const MB = 1_000_000;
/** Of what is shared, a destination may hold a fifth where the others hold nothing: that is a quarter of what is left. */
const SHARED = 5 * MB;
const SHARE = SHARED / 5;
const KEPT_FREE = SHARED / 4;
const SMALL = 65_536;
const LARGEST = MB;
const BOUNDS = {
  bytes: 2 * LARGEST + 2 * SMALL + FIXED_BYTES + SHARED,
  largest: LARGEST,
  inFlight: 1,
  requests: 10_000,
};

const account = (): Account => ({ used: 0, whole: 0, blocked: 0, ahead: null });
const holding = (of = account()): Holding => ({ account: of, charged: 0, isWhole: false, isBlocked: false });

/** The shares, of which others hold `held` bytes. */
function open(held = 0): AnswerShares {
  const shares = new AnswerShares(BOUNDS);
  if (held > 0) shares.finish(holding(), held - FIXED_BYTES);
  return shares;
}

/** What a further destination might decode at once, which tells what is free. */
function spareOf(shares: AnswerShares): number {
  const probe = holding();
  const bytes = shares.spare(probe, Infinity);
  shares.giveUp(probe);
  return bytes;
}

/** Shares of which all is held but what stays free, and who has the reserve for receiving. */
function reserved(): { readonly shares: AnswerShares; readonly beyond: Holding } {
  const shares = open(SHARED - KEPT_FREE);
  const beyond = holding();
  expect(shares.grow(beyond, LARGEST)).toBe(true);
  expect(spareOf(shares)).toBe(KEPT_FREE / 5);
  return { shares, beyond };
}

/** True where the reserve for receiving is free: who asks has it then. */
const isReserveFree = (shares: AnswerShares): boolean => shares.grow(holding(), LARGEST);
/** True where the reserve for decoding is free: who asks has it then. */
const isDecodingFree = (shares: AnswerShares): boolean => shares.decode(holding(), 0);

test("the bounds of these tests leave five million bytes to share", () => {
  expect(answerParts(BOUNDS)).toEqual({ small: SMALL, shared: SHARED, fixed: FIXED_BYTES });
});

describe("a further answer", () => {
  test("P5: does not begin where nothing is free, of whichever destination", () => {
    expect([SHARED - 1, SHARED, SHARED + 1].map((held) => open(held).hasRoom(undefined))).toEqual([true, false, false]);
    expect([SHARED - 1, SHARED].map((held) => open(held).hasRoom(account()))).toEqual([true, false]);
  });

  test("P6: begins as long as its destination holds less than its share", () => {
    const shares = open();
    const one = holding();
    shares.grow(one, SHARE - 1);
    expect(shares.hasRoom(one.account)).toBe(true);
    shares.grow(one, SHARE);
    expect(shares.hasRoom(one.account)).toBe(false);
  });

  test("P6: begins as long as what cannot be written of its destination is no more than 1/256 of what is free", () => {
    const may = [0, 1].map((more) => {
      const shares = open(SHARED - 256 * 10_000 - 10_000);
      const one = holding();
      shares.finish(one, 10_000 - FIXED_BYTES + more);
      shares.block(one);
      return shares.hasRoom(one.account);
    });
    expect(may).toEqual([true, false]);
  });
});

describe("an answer that is received", () => {
  test("P6: is within the share as long as all of its destination is, and beyond it alone then", () => {
    const shares = open();
    const one = holding();
    const next = holding(one.account);
    for (const bytes of [0.75 * SHARE, SHARE]) expect(shares.grow(one, bytes)).toBe(true);
    expect(one.account.ahead).toBeNull();
    expect(shares.grow(one, SHARE + 1)).toBe(true);
    expect(one.account.ahead).toBe(one);
    expect(shares.grow(next, 1)).toBe(false);
  });

  test("P5: leaves a quarter of everything free, or takes the reserve", () => {
    const outcomes = [0, 1].map((more) => {
      const shares = open();
      shares.grow(holding(), SHARED - KEPT_FREE + more);
      // Where that has the reserve nothing else is held.
      return spareOf(shares);
    });
    expect(outcomes).toEqual([KEPT_FREE / 5, SHARED / 5]);
  });

  test("P6: may take the reserve where nothing is free", () => {
    const shares = open(SHARED + MB);
    expect([isReserveFree(shares), isReserveFree(shares)]).toEqual([true, false]);
  });

  test("P6: goes beyond the share where what waits there to be written is no more than that", () => {
    const may = [0, 1].map((more) => {
      const shares = open();
      const whole = holding();
      shares.finish(whole, SHARE - FIXED_BYTES + more);
      return shares.grow(holding(whole.account), LARGEST);
    });
    expect(may).toEqual([true, false]);
  });

  test("P6: and is whole or given up lets the next one of its destination go beyond the share, and no other does", () => {
    const shares = open();
    const one = account();
    const [first, small, next] = [holding(one), holding(one), holding(one)];
    shares.grow(first, 1.5 * MB);
    shares.finish(small, 0);
    shares.giveUp(small);
    expect(shares.grow(next, 1.5 * MB)).toBe(false);
    shares.finish(first, 0);
    expect(shares.grow(next, 1.5 * MB)).toBe(true);
  });
});

describe("content that is decoded at once", () => {
  test("P5: takes its destination to the share at most, and is charged", () => {
    const shares = open();
    const one = holding();
    shares.grow(one, 100_000);
    const bytes = shares.spare(one, Infinity);
    // With that it holds a quarter of what is left.
    expect(bytes).toBe((SHARED - 100_000 - 4 * 100_000) / 5);
    expect([one.charged, one.account.used]).toEqual([100_000 + bytes, 100_000 + bytes]);
    expect((SHARED - one.charged) / 4).toBe(one.charged);
  });

  test("is charged beyond the small part alone that each answer in flight has", () => {
    const shares = open();
    const one = holding();
    expect([shares.spare(one, 1), one.charged]).toEqual([SMALL, 0]);
  });

  test("gives that back where it is decoded in its turn instead", () => {
    const shares = open();
    const one = holding();
    shares.grow(one, 100_000);
    shares.spare(one, 200_000);
    expect(shares.decode(one, 100_000)).toBe(true);
    expect([one.charged, one.account.used]).toEqual([100_000, 100_000]);
  });
});

describe("the reserve for decoding", () => {
  test("P6: is free for the next when its answer is given up, and not when another one is", () => {
    const shares = open();
    const one = holding();
    expect(shares.decode(one, 0)).toBe(true);
    shares.giveUp(holding());
    expect(isDecodingFree(shares)).toBe(false);
    shares.giveUp(one);
    expect(isDecodingFree(shares)).toBe(true);
  });

  test("P5: holds what is decoded, and what was received of it is free", () => {
    const shares = open();
    const one = holding();
    shares.grow(one, 500_000);
    shares.decode(one, 500_000);
    expect(spareOf(shares)).toBe((SHARED - 500_000) / 5);
    shares.finish(one, LARGEST);
    expect(spareOf(shares)).toBe(SHARED / 5);
    shares.giveUp(one);
    expect([spareOf(shares), isDecodingFree(shares)]).toEqual([SHARED / 5, true]);
  });

  test("P5: is the next one's when what was decoded finds room beside it", () => {
    const shares = open();
    const one = holding();
    shares.decode(one, 0);
    shares.finish(one, LARGEST);
    expect(isDecodingFree(shares)).toBe(false);
    shares.settle();
    expect(spareOf(shares)).toBe(Math.floor((SHARED - LARGEST - FIXED_BYTES) / 5));
    expect(isDecodingFree(shares)).toBe(true);
    shares.giveUp(one);
    expect(spareOf(shares)).toBe(SHARED / 5);
  });

  test("P5: is kept as long as that would not leave a quarter of everything free", () => {
    const isFree = [0, 1].map((more) => {
      const shares = open(SHARED - KEPT_FREE - LARGEST);
      const one = holding();
      shares.decode(one, 0);
      shares.finish(one, LARGEST - FIXED_BYTES + more);
      shares.settle();
      return isDecodingFree(shares);
    });
    expect(isFree).toEqual([true, false]);
  });

  test("P5: is the next one's at once where the answer has the one for receiving", () => {
    const { shares, beyond } = reserved();
    expect(shares.decode(beyond, LARGEST)).toBe(true);
    shares.finish(beyond, LARGEST);
    expect(spareOf(shares)).toBe(KEPT_FREE / 5);
    expect([isReserveFree(shares), isDecodingFree(shares)]).toEqual([false, true]);
    shares.giveUp(beyond);
    expect([spareOf(shares), isReserveFree(shares)]).toEqual([KEPT_FREE / 5, true]);
  });
});

describe("the reserve for receiving", () => {
  test("P6: is free for the next when its answer is whole and finds room beside it, and holds it until then", () => {
    const { shares, beyond } = reserved();
    shares.finish(beyond, LARGEST - FIXED_BYTES);
    shares.settle();
    expect([spareOf(shares), isReserveFree(shares)]).toEqual([KEPT_FREE / 5, false]);
    const roomy = new AnswerShares(BOUNDS);
    const others = holding();
    roomy.finish(others, SHARED - KEPT_FREE - FIXED_BYTES);
    const one = holding();
    roomy.grow(one, LARGEST);
    roomy.finish(one, LARGEST - FIXED_BYTES);
    roomy.giveUp(others);
    roomy.settle();
    expect(spareOf(roomy)).toBe((SHARED - LARGEST) / 5);
    roomy.finish(others, SHARED - KEPT_FREE - LARGEST - FIXED_BYTES);
    expect(isReserveFree(roomy)).toBe(true);
    roomy.giveUp(one);
    roomy.giveUp(others);
    expect(spareOf(roomy)).toBe(SHARED / 5);
  });

  test("P5: is not free because what was decoded finds room, and the one for decoding not because what was received does", () => {
    for (const whole of ["decoded", "received"] as const) {
      const shares = new AnswerShares(BOUNDS);
      const others = holding();
      shares.finish(others, SHARED - KEPT_FREE - FIXED_BYTES);
      const [beyond, decoding] = [holding(), holding()];
      expect([shares.grow(beyond, LARGEST), shares.decode(decoding, 0)]).toEqual([true, true]);
      shares.finish(whole === "decoded" ? decoding : beyond, 0);
      shares.giveUp(others);
      shares.settle();
      shares.finish(holding(), SHARED - KEPT_FREE - FIXED_BYTES);
      const isFree = whole === "decoded" ? isReserveFree(shares) : isDecodingFree(shares);
      expect([whole, isFree]).toEqual([whole, false]);
    }
  });
});

describe("a whole answer", () => {
  test("counts once, and less where less of it is kept", () => {
    const shares = open();
    const one = holding();
    shares.finish(one, 10_000);
    shares.finish(one, 1_000);
    const bytes = 1_000 + FIXED_BYTES;
    expect([one.charged, one.account]).toEqual([bytes, { used: bytes, whole: bytes, blocked: 0, ahead: null }]);
  });

  test("P6: that cannot be written counts once, however often that is said, and not any longer when it is stored", () => {
    const shares = open();
    const one = holding();
    shares.finish(one, 10_000);
    shares.block(one);
    shares.block(one);
    expect(one.account.blocked).toBe(10_000 + FIXED_BYTES);
    shares.finish(one, 1_000);
    expect(one.account.blocked).toBe(1_000 + FIXED_BYTES);
    shares.giveUp(one);
    expect(one.account).toEqual(account());
  });
});
