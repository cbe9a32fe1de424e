import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeContent } from "../../src/http/decode.ts";

describe("content becomes text by its charset", () => {
  test.each([
    ["no type", null, "c3a9", "é"],
    ["no charset", "application/json", "c3a9", "é"],
    ["UTF-8", "text/plain; charset=UTF-8", "c3a9", "é"],
    ["UTF-8, quoted", 'text/plain; charset="utf8"', "c3a9", "é"],
    ["ISO 8859-1", "text/html; charset=ISO-8859-1", "e9", "é"],
    ["Windows-1252", "text/html;charset=windows-1252", "80", "€"],
    ["UTF-16", "text/plain; charset=utf-16le", "e900", "é"],
    ["UTF-16, big end first", "text/plain; charset=utf-16be", "00e9", "é"],
    ["Shift JIS", "text/plain; charset=Shift_JIS", "93fa967b", "日本"],
    ["GBK", "text/plain; charset=gbk", "c4e3bac3", "你好"],
    ["an unknown charset", "text/plain; charset=klingon", "c3a9", "é"],
    ["no media type", "charset=latin1", "c3a9", "é"],
    ["an empty charset", "text/plain; charset=", "c3a9", "é"],
    ["a byte order mark, which stays", "text/plain", "efbbbf41", "\ufeffA"],
    ["nothing", "text/plain", "", ""],
  ])("%s", (_what, contentType, hex, text) => {
    expect(decodeContent(Buffer.from(hex, "hex"), contentType)).toEqual({ text: Buffer.from(text), lossless: true });
  });
});

describe("what text cannot hold is replaced and reported", () => {
  test.each([
    ["NUL", "text/plain", "410042", "A\ufffdB"],
    ["NUL in another charset", "text/plain; charset=utf-16le", "410000004200", "A\ufffdB"],
    ["bytes that are no UTF-8", "application/json", "41ff42", "A\ufffdB"],
    ["a cut sequence", null, "41c3", "A\ufffd"],
    ["an unknown charset and no UTF-8", "text/plain; charset=klingon", "ff", "\ufffd"],
    ["a lone surrogate", "text/plain; charset=utf-16le", "00d84100", "\ufffdA"],
    ["half a code unit", "text/plain; charset=utf-16le", "410042", "A\ufffd"],
  ])("%s", (_what, contentType, hex, text) => {
    expect(decodeContent(Buffer.from(hex, "hex"), contentType)).toEqual({ text: Buffer.from(text), lossless: false });
  });

  test("U+FFFD that was sent is no loss", () => {
    const content = Buffer.from("\ufffd");
    expect(decodeContent(content, null)).toEqual({ text: content, lossless: true });
  });

  test("whatever comes, the text can be stored; without loss in UTF-8, it is the bytes", () => {
    const charset = fc.constantFrom(
      null,
      "text/html",
      "a/b; charset=gb18030",
      "a/b; charset=utf-16be",
      "a/b;charset=euc-jp",
    );
    fc.assert(
      fc.property(fc.uint8Array(), charset, (bytes, contentType) => {
        const content = Buffer.from(bytes);
        const { text, lossless } = decodeContent(content, contentType);
        expect(text !== null && isUtf8(text) && !text.includes(0)).toBe(true);
        const again = text?.equals(content) === true;
        expect(lossless && (contentType === null || contentType === "text/html") ? again : true).toBe(true);
      }),
    );
  });
});

describe("content that is mostly not text has no text", () => {
  const random = randomBytes(70_000);
  const words = Buffer.from("Gr\u00fc\u00dfe aus K\u00f6ln, ".repeat(500), "latin1");
  test.each([
    ["random bytes", random, null],
    ["zeros", Buffer.alloc(10_000), "text/plain"],
    [
      "an image, whatever is said of it",
      Buffer.concat([Buffer.from("\x89PNG\r\n"), random]),
      "text/html; charset=utf-8",
    ],
    ["UTF-16 that says nothing of it", Buffer.from("text ".repeat(1_000), "utf16le"), "text/plain"],
    ["more than a quarter unreadable", Buffer.concat([Buffer.alloc(7_000, "x"), Buffer.alloc(3_000, 0xff)]), null],
    ["large, and not wholly UTF-8", Buffer.concat([Buffer.alloc(1_100_000, "x"), Buffer.from([0xff])]), null],
    ["large, in another charset", Buffer.alloc(1_100_000, 0xe9), "text/plain; charset=latin1"],
  ])("%s", (_what, content, contentType) => {
    expect(decodeContent(content, contentType)).toEqual({ text: null, lossless: false });
  });

  test.each([
    ["a quarter unreadable", Buffer.concat([Buffer.alloc(7_500, "x"), Buffer.alloc(2_500, 0xff)]), false],
    ["words with umlauts in another charset than said", words, false],
    ["very short, and mostly unreadable", Buffer.from("\u00df\u00df\u00dfe", "latin1"), false],
    ["unreadable only far behind", Buffer.concat([Buffer.alloc(66_000, "x"), Buffer.alloc(66_000, 0xff)]), false],
    ["large, and UTF-8", Buffer.from("\u00e9".repeat(1_000_000)), true],
  ])("but not where it is %s", (_what, content, lossless) => {
    const decoded = decodeContent(content, "text/plain");
    expect(decoded.lossless).toBe(lossless);
    expect(decoded.text?.equals(Buffer.from(content.toString()))).toBe(true);
  });
});
