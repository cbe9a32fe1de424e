/** The system's codes, and our own EAGAIN, for what this process has too little of: descriptors, memory, buffers, threads. */
const SHORTAGES: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EAI_MEMORY"]);

/** True where the code of an error says that this process lacked something: whoever it tried to reach has not failed. */
export function isShortage(code: string): boolean {
  return SHORTAGES.has(code);
}
