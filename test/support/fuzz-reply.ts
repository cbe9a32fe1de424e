import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { mostly } from "./fuzz-row.ts";

/** How a server answers one request, byte for byte. */
export interface Reply {
  readonly bytes: Buffer;
  /** Where the bytes are cut, and the pause at each cut in milliseconds. */
  readonly cuts: readonly number[];
  readonly pauseMs: number;
  readonly end: "keep" | "end" | "reset" | "hang";
}

const CRLF = "\r\n";

const statusLine = mostly<string>(
  [
    20,
    fc
      .constantFrom(200, 201, 202, 204, 301, 302, 304, 307, 400, 404, 408, 429, 500, 503, 599)
      .map((status) => `HTTP/1.1 ${status} OK`),
  ],
  [3, fc.constantFrom("HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 205 Reset Content")],
  [
    2,
    fc.constantFrom(
      "HTTP/1.1 101 Switching Protocols",
      "HTTP/1.1 099 Odd",
      "HTTP/1.1 600 Odd",
      "HTTP/1.1 1000 Odd",
      "HTTP/1.1 -1 Odd",
    ),
  ],
  [
    2,
    fc.constantFrom(
      "HTTP/2 200 OK",
      "HTTP/0.9 200 OK",
      "http/1.1 200 ok",
      "ICY 200 OK",
      "HTTP/1.1\t200 OK",
      "HTTP/1.1  200 OK",
      "220 mail ESMTP",
      "+OK",
      "",
    ),
  ],
);

const interim = mostly<string>(
  [10, fc.constant("")],
  [2, fc.constantFrom(...[100, 102, 103, 199].map((status) => `HTTP/1.1 ${status} Odd${CRLF}X-A: b${CRLF}${CRLF}`))],
  [1, fc.integer({ min: 2, max: 3_000 }).map((times) => `HTTP/1.1 100 Continue${CRLF}${CRLF}`.repeat(times))],
  [
    0.2,
    fc
      .integer({ min: 1, max: 100_000 })
      .map((size) => `HTTP/1.1 103 Early Hints${CRLF}Link: ${"a".repeat(size)}${CRLF}${CRLF}`),
  ],
);

const header = mostly<string>(
  [
    4,
    fc.constantFrom(
      "Content-Type: text/plain",
      "Content-Type: application/json; charset=utf-8",
      "Server: fuzz",
      "Connection: close",
      "Connection: keep-alive",
      "Keep-Alive: timeout=0",
      "Retry-After: 99999999999",
      "Set-Cookie: a=b",
    ),
  ],
  [
    3,
    fc
      .constantFrom("latin1", "utf-16le", "utf-7", "shift_jis", "x-user-defined", "'", '"', "\u0000", "a".repeat(500))
      .map((charset) => `Content-Type: text/html; charset=${charset}`),
  ],
  [
    2,
    fc.constantFrom(
      "Content-Type: ",
      "Content-Type: ;;;=",
      "Content-Type: text/plain\u0000",
      "X-NUL: a\u0000b",
      "X-Bare: a\nb",
      "X Space: a",
      "X-Tab\t: a",
      ": no name",
      "no colon",
      "X-Fold: a\r\n b",
      "X-High: \u00ff\u00fe",
      "__proto__: x",
      "X-Tail: a ",
    ),
  ],
  [
    1,
    fc
      .tuple(fc.string({ unit: "binary-ascii", maxLength: 10 }), fc.string({ unit: "binary-ascii", maxLength: 20 }))
      .map(([name, value]) => `${name}: ${value}`),
  ],
  [
    0.1,
    fc
      .integer({ min: 1, max: 2_000 })
      .map((count) => Array.from({ length: count }, (_, at) => `X-${at}: ${at}`).join(CRLF)),
  ],
  [0.1, fc.integer({ min: 1_000, max: 200_000 }).map((size) => `X-Large: ${"v".repeat(size)}`)],
);

const LARGEST = 1024 * 1024;
const BOMBS = {
  gzip: gzipSync(Buffer.alloc(50 * LARGEST)),
  br: brotliCompressSync(Buffer.alloc(50 * LARGEST)),
  deflate: deflateSync(Buffer.alloc(50 * LARGEST)),
} as const;

const plain = mostly<Buffer>(
  [6, fc.string({ maxLength: 200 }).map((text) => Buffer.from(text))],
  [3, fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))],
  [
    1,
    fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from("\u0000"),
      Buffer.from([0xef, 0xbb, 0xbf]),
      Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    ),
  ],
  [0.1, fc.integer({ min: 1, max: LARGEST + 10 }).map((size) => Buffer.alloc(size, "x"))],
);

interface Coded {
  readonly encoding: string | null;
  readonly bytes: Buffer;
}

const cut = fc.nat(40);

/** Content in some coding, keeping to it or not. */
const coded: fc.Arbitrary<Coded> = mostly<Coded>(
  [8, plain.map((bytes) => ({ encoding: null, bytes }))],
  [3, plain.map((bytes) => ({ encoding: "gzip", bytes: gzipSync(bytes) }))],
  [
    2,
    fc
      .tuple(plain, cut)
      .map(([bytes, missing]) => ({ encoding: "gzip", bytes: gzipSync(bytes).subarray(0, -1 - missing) })),
  ],
  [
    1,
    fc
      .tuple(plain, plain)
      .map(([bytes, more]) => ({ encoding: "gzip", bytes: Buffer.concat([gzipSync(bytes), more]) })),
  ],
  [
    1,
    fc.tuple(plain, cut).map(([bytes, missing]) => ({
      encoding: "br",
      bytes: brotliCompressSync(bytes).subarray(0, -missing || undefined),
    })),
  ],
  [
    1,
    fc.tuple(plain, cut).map(([bytes, missing]) => ({
      encoding: "deflate",
      bytes: deflateSync(bytes).subarray(0, -missing || undefined),
    })),
  ],
  [
    1,
    fc
      .tuple(fc.constantFrom("gzip", "br", "deflate", "zstd", "compress", "x", "", ",", "gzip,".repeat(3_000)), plain)
      .map(([encoding, bytes]) => ({ encoding, bytes })),
  ],
  [
    1,
    fc.integer({ min: 2, max: 8 }).chain((times) =>
      plain.map((bytes) => ({
        encoding: Array.from({ length: times }, () => "gzip").join(", "),
        bytes: gzipped(bytes, times),
      })),
    ),
  ],
  [
    0.3,
    fc.constantFrom<Coded>(
      { encoding: "gzip", bytes: BOMBS.gzip },
      { encoding: "br", bytes: BOMBS.br },
      { encoding: "deflate", bytes: BOMBS.deflate },
    ),
  ],
  [0.1, fc.constant({ encoding: "gzip, gzip", bytes: gzipSync(BOMBS.gzip) })],
);

function gzipped(bytes: Buffer, times: number): Buffer {
  return times === 0 ? bytes : gzipped(gzipSync(bytes), times - 1);
}

interface Framed {
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** Framing: the headers that say how long the content is, and the content in it. */
function framing(content: Buffer): fc.Arbitrary<Framed> {
  const { length } = content;
  const exactly: Framed = { headers: [`Content-Length: ${length}`], body: content };
  const chunked = (body: Buffer, ...more: string[]): Framed => ({
    headers: ["Transfer-Encoding: chunked", ...more],
    body,
  });
  return mostly<Framed>(
    [10, fc.constant(exactly)],
    [2, fc.constant({ headers: [], body: content })],
    [
      3,
      fc
        .constantFrom(
          length - 1,
          length + 1,
          length + 1_000,
          -1,
          2 ** 53,
          `+${length}`,
          `0x${length}`,
          `${length}, ${length}`,
          `${length} ${length}`,
          "",
          "a",
          `${"0".repeat(300)}${length}`,
          "9".repeat(30),
        )
        .map((said) => ({ headers: [`Content-Length: ${said}`], body: content })),
    ],
    [1, fc.constant({ headers: [`Content-Length: ${length}`, `Content-Length: ${length + 1}`], body: content })],
    [6, fc.integer({ min: 1, max: 50 }).map((size) => chunked(chunks(content.subarray(0, 5_000), size)))],
    [
      2,
      fc
        .constantFrom(
          "0\r\n",
          "0\r\n\r",
          "x\r\n",
          "-1\r\n",
          "FFFFFFFFFFFFFFFFF\r\n",
          "5\r\nab\r\n",
          "1\r\nab\r\n0\r\n\r\n",
          "1\n\na\n0\n\n",
          "1;a=b\r\nx\r\n0\r\n\r\n",
          "",
          "\r\n",
        )
        .map((body) => chunked(Buffer.from(body))),
    ],
    [
      1,
      fc
        .integer({ min: 1, max: 200_000 })
        .map((size) => chunked(Buffer.from(`1;${"e".repeat(size)}\r\nx\r\n0\r\n\r\n`))),
    ],
    [
      1,
      fc.integer({ min: 1, max: 3_000 }).map((count) => chunked(Buffer.from(`0\r\n${"X-T: 1\r\n".repeat(count)}\r\n`))),
    ],
    [1, fc.constant(chunked(chunks(content.subarray(0, 100), 10), `Content-Length: ${length}`))],
    [
      1,
      fc
        .constantFrom("chunked, chunked", "gzip, chunked", "xchunked", "chunked;a", "identity", "Chunked ")
        .map((said) => ({ headers: [`Transfer-Encoding: ${said}`], body: chunks(content.subarray(0, 100), 10) })),
    ],
    [0.2, fc.constant(chunked(chunks(Buffer.alloc(20_000, "y"), 1)))],
  );
}

function chunks(content: Buffer, size: number): Buffer {
  const pieces: string[] = [];
  for (let at = 0; at < content.length; at += size) {
    const piece = content.subarray(at, at + size);
    pieces.push(`${piece.length.toString(16)}${CRLF}${piece.toString("latin1")}${CRLF}`);
  }
  return Buffer.from(`${pieces.join("")}0${CRLF}${CRLF}`, "latin1");
}

/** In the answer to a case its number stands in its place. */
export const CASE = "@@@@@@";

const SMUGGLED = `HTTP/1.1 200 OK${CRLF}X-Smuggled: 1${CRLF}Content-Length: 3${CRLF}${CRLF}bad`;

const whole: fc.Arbitrary<Buffer> = coded.chain(({ encoding, bytes }) =>
  fc
    .tuple(
      interim,
      statusLine,
      fc.array(header, { maxLength: 4 }),
      framing(bytes),
      mostly([12, fc.constant("")], [1, fc.constant(SMUGGLED)], [1, fc.string({ maxLength: 20 })]),
    )
    .map(([before, status, headers, { headers: lengths, body }, after]) => {
      const codings = encoding === null ? [] : [`Content-Encoding: ${encoding}`];
      const head = [status, `X-Case: ${CASE}`, ...headers, ...codings, ...lengths, "", ""].join(CRLF);
      // Behind a large body it would come by itself, later: then it may be the answer to the next request.
      const rest = body.length < 10_000 ? after : "";
      return Buffer.concat([Buffer.from(before + head, "latin1"), body, Buffer.from(rest)]);
    }),
);

/** Answers that send the client elsewhere: to `elsewhere`, in circles, or nowhere. */
function redirect(elsewhere: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const location = mostly<string>(
    [4, elsewhere],
    [
      2,
      fc.constantFrom(
        "?again",
        "",
        "#a",
        "/",
        "..",
        "//",
        "http://",
        "file:///etc/passwd",
        "data:,x",
        "http://[",
        "/\u00e9",
      ),
    ],
  );
  return fc
    .tuple(fc.constantFrom(300, 301, 302, 303, 307, 308), location)
    .map(([status, to]) =>
      Buffer.from(`HTTP/1.1 ${status} Found${CRLF}Location: ${oneLine(to)}${CRLF}Content-Length: 0${CRLF}${CRLF}`),
    );
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]/g, "");
}

/** Bytes that are no answer, or that were one. */
const noise: fc.Arbitrary<Buffer> = mostly<Buffer>(
  [3, fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))],
  [1, fc.constant(Buffer.alloc(0))],
  [4, fc.tuple(whole, fc.nat(400)).map(([bytes, length]) => bytes.subarray(0, length))],
  [4, fc.tuple(whole, fc.nat(400), fc.nat(255)).map(([bytes, at, byte]) => mutated(bytes, at, byte))],
  [0.1, fc.integer({ min: 10_000, max: 300_000 }).map((size) => Buffer.alloc(size, "x"))],
);

function mutated(bytes: Buffer, at: number, byte: number): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  copy.writeUInt8(byte, at % copy.length);
  return copy;
}

/** Any conduct of a server; redirects go to `elsewhere`. */
export function anyReply(elsewhere: fc.Arbitrary<string>): fc.Arbitrary<Reply> {
  const any: fc.Arbitrary<Reply> = fc.record({
    bytes: mostly([10, whole], [2, redirect(elsewhere)], [3, noise]),
    cuts: mostly<number[]>(
      [8, fc.constant([])],
      [2, fc.array(fc.nat(600), { maxLength: 4 })],
      [0.5, fc.constant(Array.from({ length: 150 }, (_, at) => at))],
    ),
    pauseMs: mostly([6, fc.constant(0)], [1, fc.integer({ min: 1, max: 5 })], [0.2, fc.constant(50)]),
    end: mostly<Reply["end"]>(
      [8, fc.constant("keep")],
      [12, fc.constant("end")],
      [1, fc.constant("reset")],
      [0.5, fc.constant("hang")],
    ),
  });
  // What comes in one piece with the end of an answer is never the next answer.
  return any.map((reply) => (reply.bytes.includes(SMUGGLED) ? { ...reply, cuts: [] } : reply));
}
