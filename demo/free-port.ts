import { randomInt } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";

/**
 * Systems give other ports, from 32768 on, to whoever listens at port 0 or connects: nobody takes one of these between two calls.
 * See https://www.rfc-editor.org/rfc/rfc6335#section-6, and Linux's `net.ipv4.ip_local_port_range`.
 */
const LEAST = 10_000;
const MOST = 32_000;

/** A loopback TCP port that is free now: `preferred` if it is, else any. */
export async function freePort(preferred?: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(preferred ?? randomInt(LEAST, MOST), "127.0.0.1", resolve);
    });
  } catch (error) {
    const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    if (preferred === undefined && !isTaken) throw error;
    return freePort();
  }
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
