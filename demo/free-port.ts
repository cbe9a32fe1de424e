import { type AddressInfo, createServer } from "node:net";

/** A loopback TCP port that is free now: `preferred` if it is, else any. */
export async function freePort(preferred = 0): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(preferred, "127.0.0.1", resolve);
    });
  } catch (error) {
    if (preferred === 0) throw error;
    return freePort();
  }
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
