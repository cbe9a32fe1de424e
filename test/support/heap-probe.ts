/** Loaded into a daemon with `--import`: at each SIGUSR2 it prints its live bytes as a JSON line. */
import { liveBytes } from "./live-heap.ts";

process.on("SIGUSR2", () => {
  void liveBytes().then((bytes) => process.stdout.write(`${JSON.stringify({ liveBytes: bytes })}\n`));
});
