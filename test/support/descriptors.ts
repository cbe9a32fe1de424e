import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Sets how many more file descriptors a process may have than it has open now. Linux only. */
export async function allowDescriptors(pid: number, more: number): Promise<void> {
  const open = new Set((await readdir(`/proc/${pid}/fd`)).map(Number));
  // The limit is the first number that is not given; those below that are free are what it leaves.
  let limit = 0;
  for (let free = 0; free < more; limit++) if (!open.has(limit)) free++;
  // The soft limit alone: a hard one could not be raised again.
  await run("prlimit", ["--pid", String(pid), `--nofile=${limit}:`]);
}
