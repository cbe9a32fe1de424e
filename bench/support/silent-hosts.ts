import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { loopbackAddress } from "./rig.ts";

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
    url: (host) => `http://${loopbackAddress(host)}:${port}/?n=`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
