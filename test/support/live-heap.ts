import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that this process still refers to, those of buffers included: a collection is forced, and finalizers are run. */
export async function liveBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collect();
    await delay(10);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
