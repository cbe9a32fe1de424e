import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What a server says of one name: addresses of both families, an error, or nothing at all. */
export type Says =
  | { readonly addresses: readonly string[]; readonly ttlSeconds?: number; readonly delayMs?: number }
  | "no such name"
  | "failure"
  | "refused"
  | "silence";

/** A DNS server on a UDP port of loopback. */
export interface DnsServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Names asked for, in lower case, with `A` or `AAAA`. */
  readonly asked: readonly string[];
}

const TYPES = new Map([
  [1, "A"],
  [28, "AAAA"],
]);
const CODES = { failure: 2, "no such name": 3, refused: 5 } as const;

/** Starts a server that says of each name and type (`A`, `AAAA`) what `says` does. See RFC 1035, 4, for the format. */
export async function startDnsServer(says: (name: string, type: string) => Says): Promise<DnsServer> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
  const asked: string[] = [];
  socket.on("message", (query, from) => {
    const { name, type, end } = question(query);
    asked.push(`${name} ${type}`);
    const said = says(name, type);
    if (said === "silence") return;
    const code = typeof said === "string" ? CODES[said] : 0;
    const records = typeof said === "string" ? [] : recordsOf(said, type);
    const head = Buffer.from(query.subarray(0, end));
    head.writeUInt16BE(0x8180 | code, 2);
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    const send = (): void => {
      // Whoever asked may have closed its socket, and the test this one.
      if (!closed) socket.send(Buffer.concat([head, ...records]), from.port, from.address);
    };
    const delayMs = typeof said === "string" ? undefined : said.delayMs;
    if (delayMs === undefined) send();
    else setTimeout(send, delayMs);
  });
  let closed = false;
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async [Symbol.asyncDispose]() {
      closed = true;
      socket.close();
      await once(socket, "close");
    },
  };
}

function question(query: Buffer): { readonly name: string; readonly type: string; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return {
    name: labels.join(".").toLowerCase(),
    type: TYPES.get(query.readUInt16BE(at + 1)) ?? "other",
    end: at + 5,
  };
}

function recordsOf({ addresses, ttlSeconds = 60 }: Exclude<Says, string>, type: string): Buffer[] {
  return addresses
    .filter((address) => (address.includes(":") ? "AAAA" : "A") === type)
    .map((address) => {
      const data = address.includes(":") ? ipv6(address) : Buffer.from(address.split(".").map(Number));
      const head = Buffer.from([0xc0, 12, 0, type === "A" ? 1 : 28, 0, 1, 0, 0, 0, 0, 0, data.length]);
      head.writeUInt32BE(ttlSeconds, 6);
      return Buffer.concat([head, data]);
    });
}

function ipv6(address: string): Buffer {
  const [before = [], after = []] = address.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
  const bytes = Buffer.alloc(16);
  for (const [at, group] of groups.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2);
  return bytes;
}
