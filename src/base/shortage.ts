/** What to do about each thing that a process can have too little of, by the system's code; NO_THREAD is our own. */
const HINTS: Readonly<Record<string, string>> = {
  EMFILE:
    "this process has no file descriptor left: allow it more (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker), or lower http.concurrency",
  ENFILE: "the system has no file descriptor left: raise fs.file-max",
  EADDRNOTAVAIL: "no local port is left: widen net.ipv4.ip_local_port_range, or lower http.concurrency",
  EAGAIN:
    "the system has no local port or other resource left: widen net.ipv4.ip_local_port_range, or lower http.concurrency",
  ENOBUFS: "the system has no memory left for connections",
  ENOMEM: "the system has no memory left",
  EAI_MEMORY: "the system has no memory left",
  ERR_WORKER_INIT_FAILED:
    "the system gives no further thread: allow more processes (ulimit -u, TasksMax= of systemd, --pids-limit of Docker)",
  ERR_WORKER_OUT_OF_MEMORY: "the thread that looks names up has no memory left: find out which names have such answers",
  NO_THREAD:
    "no thread is left to look up names that DNS does not know: find out which these are, or raise UV_THREADPOOL_SIZE",
};

/** True where the code of an error says that this process, or its machine, lacked something: nobody else has failed. */
export function isShortage(code: string): boolean {
  return code !== "EADDRNOTAVAIL" && Object.hasOwn(HINTS, code);
}

/** What is lacking, and what to do. */
export function shortageHint(code: string): string {
  return HINTS[code] ?? "something is lacking here";
}
