import { type Readable, pipeline } from "node:stream";
import {
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  gunzip,
  inflate,
  inflateRaw,
} from "node:zlib";
import { type AnswerMemory } from "../limits/answer-memory.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type Failure, badEncoding, tooLarge } from "./failure.ts";

/** More codings than this over each other are no honest content. */
const MOST_CODINGS = 5;
/** Content of up to this size is decoded at once, where there is memory for it. */
const AT_ONCE_BYTES = 262_144;
const PIECE_BYTES = 65_536;

type Coding = "gzip" | "deflate" | "br";
type Pieces = AsyncIterable<Buffer>;

class TooLarge extends Error {}

/** Undoes the codings of a Content-Encoding value. Unknown ones end it: the content stays as it is from there on, as curl leaves it. */
export async function undoEncoding(
  content: Buffer,
  contentEncoding: string,
  maxBytes: number,
  memory: AnswerMemory,
): Promise<{ readonly content: Buffer } | Failure> {
  const names = contentEncoding.split(",").map((name) => name.trim().toLowerCase());
  if (names.length > MOST_CODINGS) return badEncoding(null);
  const [first, ...others] = knownCodings(names.toReversed());
  if (first === undefined) return { content };
  try {
    const bytes = Math.min(maxBytes, memory.spare(AT_ONCE_BYTES));
    const decoded = others.length === 0 && content.length <= bytes ? await decodeAtOnce(content, first, bytes) : null;
    if (decoded !== null) return { content: decoded };
    await new Promise<void>((resolve) => memory.decodeInTurn({ goOn: resolve }));
    return { content: await decodeInPieces(content, [first, ...others], maxBytes) };
  } catch (error) {
    if (error instanceof TooLarge) return tooLarge(maxBytes);
    return badEncoding(codeOf(error));
  }
}

/** As far as they are known. */
function knownCodings(names: readonly string[]): readonly Coding[] {
  const codings: Coding[] = [];
  for (const name of names) {
    if (name === "" || name === "identity") continue;
    if (name === "gzip" || name === "x-gzip") codings.push("gzip");
    else if (name === "deflate" || name === "br") codings.push(name);
    else break;
  }
  return codings;
}

/** Null where it would become larger than `maxOutputLength`. */
async function decodeAtOnce(content: Buffer, coding: Coding, maxOutputLength: number): Promise<Buffer | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | null>();
  const done = (error: Error | null, result: Buffer): void => {
    if (error === null) resolve(result);
    else if (codeOf(error) === "ERR_BUFFER_TOO_LARGE") resolve(null);
    else reject(error);
  };
  const options = { maxOutputLength };
  switch (coding) {
    case "gzip":
      gunzip(content, options, done);
      break;
    case "deflate":
      if (startsLikeZlib(content)) inflate(content, options, done);
      else inflateRaw(content, options, done);
      break;
    case "br":
      brotliDecompress(content, options, done);
      break;
  }
  return promise;
}

/** One coding after the other in one go, so that nothing is held but what goes in and what comes out. */
async function decodeInPieces(content: Buffer, codings: readonly Coding[], maxBytes: number): Promise<Buffer> {
  let pieces: Pieces = slices(content);
  for (const coding of codings) pieces = bounded(decoded(pieces, coding), maxBytes);
  const whole = new ContentBuffer();
  for await (const piece of pieces) whole.add(piece, null);
  return whole.take();
}

async function* slices(content: Buffer): Pieces {
  for (let at = 0; at < content.length; at += PIECE_BYTES) yield content.subarray(at, at + PIECE_BYTES);
}

async function* bounded(pieces: Pieces, maxBytes: number): Pieces {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new TooLarge();
    yield piece;
  }
}

async function* decoded(pieces: Pieces, coding: Coding): Pieces {
  const [start, all] = await peek(pieces);
  yield* through(all, decoder(coding, start)) as Pieces;
}

function decoder(coding: Coding, start: Buffer): NodeJS.ReadWriteStream {
  const options = { chunkSize: PIECE_BYTES };
  switch (coding) {
    case "gzip":
      return createGunzip(options);
    case "deflate":
      return startsLikeZlib(start) ? createInflate(options) : createInflateRaw(options);
    case "br":
      return createBrotliDecompress(options);
  }
}

/** The first piece, and all of them. */
async function peek(pieces: Pieces): Promise<readonly [Buffer, Pieces]> {
  const iterator = pieces[Symbol.asyncIterator]();
  const first = await iterator.next();
  const all = async function* (): Pieces {
    if (first.done === true) return;
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  return [first.done === true ? Buffer.alloc(0) : first.value, all()];
}

/** What comes out of `stage`; a failure of either throws. */
function through(pieces: Pieces, stage: NodeJS.ReadWriteStream): Readable {
  return pipeline(pieces, stage, () => undefined) as unknown as Readable;
}

/**
 * The two bytes of a zlib header: method 8, and a multiple of 31 together (RFC 1950, 2.2). That is what deflate means (RFC 9110,
 * 8.4.1.2); some servers send the bare format, which never begins like it.
 */
function startsLikeZlib(content: Buffer): boolean {
  return content.length >= 2 && (content.readUInt8(0) & 0x0f) === 8 && content.readUInt16BE(0) % 31 === 0;
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error ? String(error.code) : null;
}
