import { type Socket } from "node:net";

const INTERIM = Buffer.from("HTTP/1.1 1");
const SWITCHING = Buffer.from("HTTP/1.1 101");
const END_OF_HEAD = Buffer.from("\r\n\r\n");
const LONGEST_HEAD = 64 * 1024;

/**
 * Keeps interim responses (1xx but 101) from undici: a client has to pass over them (RFC 9110, 15.2), and some servers send
 * "100 Continue" to every POST, but undici takes one that nobody asked for as an attack and closes the connection.
 * `awaitsHead` says whether the next byte begins a response.
 */
export function skipInterim(socket: Socket, awaitsHead: () => boolean): void {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  let held: Buffer | null = null;
  socket.read = (size?: number): Buffer | null => {
    const chunk = read(size);
    if (chunk === null) return null;
    if (held === null && (!awaitsHead() || !mayBeInterim(chunk))) return chunk;
    let rest: Buffer = held === null ? chunk : Buffer.concat([held, chunk]);
    held = null;
    while (mayBeInterim(rest)) {
      const end = rest.indexOf(END_OF_HEAD);
      if (end === -1) {
        if (rest.length > LONGEST_HEAD) return rest;
        held = rest;
        return null;
      }
      rest = rest.subarray(end + END_OF_HEAD.length);
    }
    return rest.length === 0 ? null : rest;
  };
}

/** True where `bytes`, as far as they go, begin as an interim response does. */
function mayBeInterim(bytes: Buffer): boolean {
  return beginsAs(bytes, INTERIM) && !(bytes.length >= SWITCHING.length && beginsAs(bytes, SWITCHING));
}

function beginsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return length > 0 && bytes.compare(start, 0, length, 0, length) === 0;
}
