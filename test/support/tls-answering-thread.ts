import { type TlsOptions, createServer } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { response } from "./http-peer.ts";

/** A server over TLS in a thread of its own: answers with the number of the connection, and counts in shared memory how often it has. */
const { tls, answers } = workerData as { readonly tls: TlsOptions; readonly answers: Int32Array };
let connections = 0;
const server = createServer(tls, (socket) => {
  const content = `connection ${++connections}`;
  socket.on("error", () => socket.destroy());
  socket.on("data", () =>
    socket.write(response(content), () => {
      Atomics.add(answers, 0, 1);
      Atomics.notify(answers, 0);
    }),
  );
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") parentPort?.postMessage(address.port);
});
