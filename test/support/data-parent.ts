import { readFileSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";

const IN_MEMORY = "/dev/shm";
/** What the servers and databases that exist at one time take, with room to spare. */
const NEEDED_BYTES = 3 * 1024 ** 3;

/**
 * Where the servers of tests keep their data: in memory where that is to be had, since hundreds of databases are made and
 * dropped, each of 300 files, else in the system's folder for temporary files.
 */
export function dataParent(): string {
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    return bavail * bsize >= NEEDED_BYTES && mayExecute() ? IN_MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** The binaries are copied beside the data where the server's user cannot read them. */
function mayExecute(): boolean {
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  const [, , kind, options] = mounts.find((line) => line.split(" ")[1] === IN_MEMORY)?.split(" ") ?? [];
  return kind === "tmpfs" && options?.split(",").includes("noexec") === false;
}
