import { type Socket } from "node:net";
import { errors } from "undici";

/** Who waits for a response over a connection. */
export interface HeadWaiter {
  /** True until the head of the response was handed on. */
  readonly awaitsHead: boolean;
  /** Bytes of the response came. */
  responseBegan(): void;
}

const HTTP = Buffer.from("HTTP/1.");
/** A status line from 100 to 199 but 101, or the beginning of one that has come so far. */
const INTERIM = /^HTTP\/1\.1 1(?!01)(?:\d{0,2}|\d\d[ \r\n])$/;
const INTERIM_BYTES = "HTTP/1.1 100 ".length;
const END_OF_HEAD = Buffer.from("\r\n\r\n");
const LONGEST_HEAD = 64 * 1024;

/**
 * Hands undici the heads of responses whole, and as it takes them. Interim responses (1xx but 101) are kept from it: a client
 * has to pass over them (RFC 9110, 15.2), and some servers send "100 Continue" to every POST, but undici takes one that nobody
 * asked for as an attack. Malformed header fields are left out, where curl has them: the parser would refuse the whole
 * response, and undici has no option for its leniency.
 */
export function readHeads(socket: Socket, waiter: () => HeadWaiter | null): void {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  const held = new Held();
  const next = (size?: number): Buffer | null => {
    const chunk = read(size);
    const waiting = waiter();
    if (chunk === null || waiting?.awaitsHead !== true) return chunk;
    const looked = held.length;
    if (looked === 0 && isAsExpected(chunk)) {
      waiting.responseBegan();
      return chunk;
    }
    let bytes: Buffer = looked === 0 ? chunk : held.add(chunk);
    let from = Math.max(0, looked - 2);
    while (bytes.length > 0) {
      const isInterim = mayBeInterim(bytes);
      if (!isInterim) waiting.responseBegan();
      const end = endOfHead(bytes, from);
      if (end === null && bytes.length <= LONGEST_HEAD && beginsAs(bytes, HTTP)) {
        held.keep(bytes);
        return next(size);
      }
      if (end === null && bytes.length > LONGEST_HEAD) {
        // Half a head, the parser would make much more of it while it waits for the rest.
        socket.destroy(new errors.HeadersOverflowError());
        return null;
      }
      if (!isInterim || end === null) {
        held.clear();
        return end === null || !beginsAs(bytes, HTTP) ? bytes : tidied(bytes, end);
      }
      bytes = bytes.subarray(end);
      from = 0;
    }
    held.clear();
    return next(size);
  };
  socket.read = next;
}

/** The beginning of a head, in one piece: many small ones would take far more memory than their bytes. */
class Held {
  #buffer = Buffer.alloc(0);
  length = 0;

  /** Returns all of it; good until the next call. */
  add(chunk: Buffer): Buffer {
    const length = this.length + chunk.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(length * 2);
      this.#buffer.copy(larger, 0, 0, this.length);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.length);
    this.length = length;
    return this.#buffer.subarray(0, length);
  }

  /** Holds `bytes` alone, which may be the end of what it held. */
  keep(bytes: Buffer): void {
    if (this.length === bytes.length) return;
    const own = Buffer.from(bytes);
    this.clear();
    this.add(own);
  }

  clear(): void {
    if (this.length === 0) return;
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
  }
}

/** True where `bytes`, as far as they go, begin an interim response. */
function mayBeInterim(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, INTERIM_BYTES);
  return INTERIM.test(start) || "HTTP/1.1 1".startsWith(start);
}

/** True where `bytes`, as far as they go, begin as `start` does. */
function beginsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

/**
 * Behind the empty line that ends the head, looked for from `from` on; null where it has not come. Lines may end without a
 * carriage return (RFC 9112, 2.2).
 */
function endOfHead(bytes: Buffer, from: number): number | null {
  for (let at = bytes.indexOf(10, from); at !== -1; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return null;
}

const FIELD = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+:[\\t\\x20-\\x7e\\x80-\\xff]*";
const WELL_FORMED = new RegExp(`^HTTP/1\\.1 [2-9][^\\r\\n]*\\r\\n(?:${FIELD}\\r\\n)*\\r\\n$`);
const WELL_FORMED_FIELD = new RegExp(`^${FIELD}$`);
/** The parser is to refuse it, as curl does: what says how long the content is must be right, NUL and no colon are neither. */
const LEFT_TO_PARSER = /^\s*(?:content-length|transfer-encoding)\b|^[^:]*$|\0/i;

/** True where `bytes` begin with the whole head of a response that the parser takes as it is; so do nearly all. */
function isAsExpected(bytes: Buffer): boolean {
  const end = bytes.indexOf(END_OF_HEAD);
  return end !== -1 && WELL_FORMED.test(bytes.toString("latin1", 0, end + END_OF_HEAD.length));
}

/** `bytes` with the fields of the head that ends before `end` as the parser takes them. */
function tidied(bytes: Buffer, end: number): Buffer {
  let length = end;
  while (bytes[length - 1] === 10 || bytes[length - 1] === 13) length -= 1;
  // A line that begins with a blank goes on with the one before (RFC 9112, 5.2).
  const [status = "", ...fields] = bytes
    .toString("latin1", 0, length)
    .replace(/\r?\n[\t ]+/g, " ")
    .split(/\r?\n/);
  const kept = fields.filter((field) => WELL_FORMED_FIELD.test(field) || LEFT_TO_PARSER.test(field));
  return Buffer.concat([Buffer.from([status, ...kept, "", ""].join("\r\n"), "latin1"), bytes.subarray(end)]);
}
