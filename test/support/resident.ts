import { readFile, writeFile } from "node:fs/promises";

/** The most memory that a process ever had resident, in megabytes, since it began or `forgetPeak` was called. */
export async function peakMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** Resets the peak, and returns what is resident now; see proc(5), clear_refs. */
export async function forgetPeak(pid: number): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
  return peakMb(pid);
}
