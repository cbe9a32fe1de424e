import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const MB = 1024 * 1024;

/** What a process has used, from Linux's /proc. */
export interface Usage {
  /** User and system time in milliseconds since its start. */
  readonly cpuMs: number;
  /** Resident memory now, in MB. */
  readonly rssMb: number;
  /** The most it ever had resident, in MB. */
  readonly peakRssMb: number;
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** See https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: utime and stime are fields 14 and 15. */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return {
    cpuMs: (ticks * 1000) / ticksPerSecond,
    rssMb: (kilobytes("VmRSS") * 1024) / MB,
    peakRssMb: (kilobytes("VmHWM") * 1024) / MB,
  };
}
