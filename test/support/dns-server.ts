import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What a server says of one name: addresses of both families, an error, or nothing at all. */
export type Says =
  | { readonly addresses: readonly string[]; readonly ttlSeconds?: number; readonly delayMs?: number }
  | "no such name"
  | "failure"
  | "refused"
  | "silence";

/** A DNS server on a port of loopback: UDP, and TCP for answers that are larger than what UDP carries. */
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

/** Larger answers are truncated (RFC 9715, 3): whoever asked does it again, by TCP. */
const MOST_UDP_BYTES = 1_232;

/** Starts a server that says of each name and type (`A`, `AAAA`) what `says` does. See RFC 1035, 4, for the format. */
export async function startDnsServer(says: (name: string, type: string) => Says): Promise<DnsServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  let closed = false;
  const answer = (query: Buffer, send: (reply: Buffer) => void): void => {
    const { name, type, end } = question(query);
    asked.push(`${name} ${type}`);
    const said = says(name, type);
    if (said === "silence") return;
    const { count, records } =
      typeof said === "string" ? { count: 0, records: Buffer.alloc(0) } : recordsOf(said, type);
    const head = Buffer.from(query.subarray(0, end));
    head.writeUInt16BE(0x8180 | (typeof said === "string" ? CODES[said] : 0), 2);
    head.writeUInt16BE(count, 6);
    head.writeUInt32BE(0, 8);
    const reply = (): void => {
      // Whoever asked may have closed its socket, and the test this one.
      if (!closed) send(Buffer.concat([head, records]));
    };
    const delayMs = typeof said === "string" ? undefined : said.delayMs;
    if (delayMs === undefined) reply();
    else setTimeout(reply, delayMs);
  };

  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    let received = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE();
        answer(received.subarray(2, end), (reply) => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          socket.write(Buffer.concat([length, reply]));
        });
        received = received.subarray(end);
      }
    });
  });
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
  udp.on("message", (query, from) => {
    answer(query, (reply) =>
      udp.send(reply.length > MOST_UDP_BYTES ? truncated(reply, query) : reply, from.port, from.address),
    );
  });
  udp.bind(port, "127.0.0.1");
  await once(udp, "listening");
  return {
    address: `127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      closed = true;
      for (const socket of sockets) socket.destroy();
      tcp.close();
      udp.close();
      await Promise.all([once(tcp, "close"), once(udp, "close")]);
    },
  };
}

/** The answer without its records, and with the bit that says so. */
function truncated(reply: Buffer, query: Buffer): Buffer {
  const short = Buffer.from(reply.subarray(0, question(query).end));
  short.writeUInt16BE(short.readUInt16BE(2) | 0x0200, 2);
  short.writeUInt16BE(0, 6);
  return short;
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

interface Records {
  readonly count: number;
  readonly records: Buffer;
}

/** Of what is said many times, by type. */
const encoded = new WeakMap<Exclude<Says, string>, Map<string, Records>>();

function recordsOf(said: Exclude<Says, string>, type: string): Records {
  const known = encoded.get(said) ?? new Map<string, Records>();
  encoded.set(said, known);
  const found = known.get(type) ?? encode(said, type);
  known.set(type, found);
  return found;
}

function encode({ addresses, ttlSeconds = 60 }: Exclude<Says, string>, type: string): Records {
  const records = addresses
    .filter((address) => (address.includes(":") ? "AAAA" : "A") === type)
    .map((address) => {
      const data = address.includes(":") ? ipv6(address) : Buffer.from(address.split(".").map(Number));
      const head = Buffer.from([0xc0, 12, 0, type === "A" ? 1 : 28, 0, 1, 0, 0, 0, 0, 0, data.length]);
      head.writeUInt32BE(ttlSeconds, 6);
      return Buffer.concat([head, data]);
    });
  return { count: records.length, records: Buffer.concat(records) };
}

function ipv6(address: string): Buffer {
  const [before = [], after = []] = address.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
  const bytes = Buffer.alloc(16);
  for (const [at, group] of groups.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2);
  return bytes;
}
