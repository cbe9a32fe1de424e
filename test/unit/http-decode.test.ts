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
    expect(decodeContent(Buffer.from(hex, "hex"), contentType)).toEqual({ text, lossless: true });
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
    expect(decodeContent(Buffer.from(hex, "hex"), contentType)).toEqual({ text, lossless: false });
  });

  test("U+FFFD that was sent is no loss", () => {
    expect(decodeContent(Buffer.from("\ufffd"), null)).toEqual({ text: "\ufffd", lossless: true });
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
        expect(text.includes("\0")).toBe(false);
        expect(text.isWellFormed()).toBe(true);
        const again = Buffer.from(text).equals(content);
        expect(lossless && (contentType === null || contentType === "text/html") ? again : true).toBe(true);
      }),
    );
  });
});
