import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** Any number of hosts that accept and never answer: addresses of the loopback network, all on one port. */
export interface SilentHosts extends AsyncDisposable {
  /** The url of one of them, to be completed with a number. */
  readonly url: (host: number) => string;
}

/** Listens on every loopback address. */
export async function openSilentHosts(): Promise<SilentHosts> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
    socket.resume();
  });
  server.listen({ host: "0.0.0.0", port: 0, backlog: 4_096 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: (host) =>
      `http://127.${1 + Math.floor(host / 62_500)}.${Math.floor(host / 250) % 250}.${1 + (host % 250)}:${port}/?n=`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
