import { createCipheriv, createHmac } from "node:crypto";
import { once } from "node:events";
import { type Socket, createServer } from "node:net";
import { Duplex } from "node:stream";
import { TLSSocket, createSecureContext } from "node:tls";

/** A new session ticket of TLS 1.3 (RFC 8446, 4.6.1), and a key update that asks for another one (4.6.3), each as a record's content. */
const TICKET = Buffer.from([4, 0, 0, 14, 0, 0, 1, 0, 1, 2, 3, 4, 0, 0, 1, 7, 0, 0, 22]);
const KEY_UPDATE = Buffer.from([24, 0, 0, 1, 1, 22]);
const APPLICATION_DATA = 23;

/** Writes records of TLS 1.3 that a server's library would not. */
export interface RecordWriter {
  ticket(): Buffer;
  keyUpdate(): Buffer;
  content(text: string): Buffer;
}

export interface TlsRecordPeer extends AsyncDisposable {
  readonly port: number;
}

/** A server over TLS 1.3; after the first request of a connection, which it leaves it at, `took` has the connection beneath. */
export async function tlsRecordPeer(
  identity: { readonly key: string; readonly cert: string },
  took: (beneath: Socket, records: RecordWriter) => void,
): Promise<TlsRecordPeer> {
  const secureContext = createSecureContext({ ...identity, minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" });
  const sockets = new Set<Socket>();
  const server = createServer((beneath) => {
    sockets.add(beneath);
    beneath.on("error", () => beneath.destroy());
    beneath.on("close", () => sockets.delete(beneath));
    let isHandshakeDone = false;
    let written = 0;
    const through = new Duplex({
      read: () => undefined,
      write: (bytes: Buffer, _encoding, done) => {
        if (isHandshakeDone) written += countRecords(bytes);
        beneath.write(bytes, done);
      },
    });
    let received = 0;
    beneath.on("data", (bytes: Buffer) => {
      // What comes second is the end of the client's handshake: what is written from then on is under the server's last key.
      isHandshakeDone ||= received++ > 0;
      through.push(bytes);
    });
    const secured = new TLSSocket(through, { isServer: true, secureContext });
    let secret = Buffer.alloc(0);
    secured.on("keylog", (line: Buffer) => {
      const found = /^SERVER_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(line.toString());
      if (found !== null) secret = Buffer.from(found[1] ?? "", "hex");
    });
    secured.on("error", () => beneath.destroy());
    secured.once("data", () => setImmediate(() => took(beneath, recordWriter(secret, written))));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function countRecords(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) count++;
  return count;
}

/** RFC 8446, 5.2 and 7.1 to 7.3. */
function recordWriter(firstSecret: Buffer, written: number): RecordWriter {
  let secret = firstSecret;
  let [key, iv] = [expand(secret, "key", 16), expand(secret, "iv", 12)];
  let number = BigInt(written);
  const record = (content: Buffer): Buffer => {
    const nonce = Buffer.from(iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ number++, 4);
    const head = Buffer.from([APPLICATION_DATA, 3, 3, 0, 0]);
    head.writeUInt16BE(content.length + 16, 3);
    const cipher = createCipheriv("aes-128-gcm", key, nonce);
    cipher.setAAD(head);
    return Buffer.concat([head, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  };
  return {
    ticket: () => record(TICKET),
    keyUpdate: () => {
      const bytes = record(KEY_UPDATE);
      secret = expand(secret, "traffic upd", 32);
      [key, iv, number] = [expand(secret, "key", 16), expand(secret, "iv", 12), 0n];
      return bytes;
    },
    content: (text) => record(Buffer.concat([Buffer.from(text), Buffer.from([APPLICATION_DATA])])),
  };
}

/** HKDF-Expand-Label with SHA-256, for at most 32 bytes. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac("sha256", secret).update(info).digest().subarray(0, length);
}
