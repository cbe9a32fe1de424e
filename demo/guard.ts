import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Cleans up after us however we end, SIGKILL included: it waits for the end of its standard input, which the kernel closes
 * with our process, then stops the last process reported to it and removes the folder.
 */
export interface Guard extends AsyncDisposable {
  /** Names the process to stop; null when there is none any more. */
  watch(pid: number | null): void;
}

/** Written for PostgreSQL: the lock file shows its end even where nobody collects zombies. SIGQUIT is the immediate shutdown: at most a second, and shared memory is released. */
const SCRIPT = `
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  n=0
  while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1"
`;

/** Starts the guard of `folder`; closing it removes the folder and ends the watched process if it still runs. */
export function startGuard(folder: string): Guard {
  const child = spawn("/bin/sh", ["-c", SCRIPT, "pgnetd-guard", folder], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.stdin.on("error", () => undefined);
  const ended = once(child, "close");
  ended.catch(() => undefined);
  child.unref();
  return {
    watch(pid) {
      child.stdin.write(`${pid ?? ""}\n`);
    },
    async [Symbol.asyncDispose]() {
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}
