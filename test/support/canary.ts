import { once } from "node:events";
import { type Socket, createServer } from "node:net";

/** A listener on every address of this machine that nothing may ever reach. */
export interface Canary extends AsyncDisposable {
  readonly port: number;
  /** Where each connection arrived, with the first bytes it sent. */
  readonly reached: readonly string[];
}

/** Listens on IPv6 and IPv4, or on IPv4 alone where there is no other. */
export async function openCanary(): Promise<Canary> {
  const reached: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const at = reached.push(`${socket.localAddress}`) - 1;
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", (bytes) => (reached[at] = `${reached[at]}: ${bytes.toString("latin1", 0, 200)}`));
  });
  const listening = async (host: string): Promise<void> => {
    server.listen(0, host);
    await once(server, "listening");
  };
  await listening("::").catch(() => listening("0.0.0.0"));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    reached,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
