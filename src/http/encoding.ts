import { brotliDecompress, gunzip, inflate, inflateRaw } from "node:zlib";
import { type Failure, badEncoding, tooLarge } from "./failure.ts";

/** More codings than this over each other are no honest content. */
const MOST_CODINGS = 5;

/** Undoes the codings of a Content-Encoding value. Unknown ones end it: the content stays as it is from there on, as curl leaves it. */
export async function undoEncoding(
  content: Buffer,
  contentEncoding: string,
  maxBytes: number,
): Promise<{ readonly content: Buffer } | Failure> {
  const codings = contentEncoding.split(",").map((coding) => coding.trim().toLowerCase());
  if (codings.length > MOST_CODINGS) return badEncoding(null);
  let undone = content;
  for (const coding of codings.toReversed()) {
    if (coding === "" || coding === "identity") continue;
    try {
      const next = await undoOne(undone, coding, maxBytes);
      if (next === null) break;
      undone = next;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : null;
      return code === "ERR_BUFFER_TOO_LARGE" ? tooLarge(maxBytes) : badEncoding(code);
    }
  }
  return { content: undone };
}

/** Null for an unknown coding. */
async function undoOne(content: Buffer, coding: string, maxOutputLength: number): Promise<Buffer | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const done = (error: Error | null, result: Buffer): void => {
    if (error === null) resolve(result);
    else reject(error);
  };
  const options = { maxOutputLength };
  switch (coding) {
    case "gzip":
    case "x-gzip":
      gunzip(content, options, done);
      return promise;
    case "deflate":
      // Meant is the zlib format (RFC 9110, 8.4.1.2); some servers send the bare one, which never begins like it.
      if (startsLikeZlib(content)) inflate(content, options, done);
      else inflateRaw(content, options, done);
      return promise;
    case "br":
      brotliDecompress(content, options, done);
      return promise;
    default:
      return null;
  }
}

/** The two bytes of a zlib header: method 8, and a multiple of 31 together (RFC 1950, 2.2). */
function startsLikeZlib(content: Buffer): boolean {
  return content.length >= 2 && (content.readUInt8(0) & 0x0f) === 8 && content.readUInt16BE(0) % 31 === 0;
}
