/** What Node itself takes, with room to spare. */
const PROCESS_BYTES = 200_000_000;

/** What the process should take at most. The two budgets count what requests and answers are; copies are made while they are read, sent and written. */
export function expectedMemory(outboxBytes: number, answerBytes: number): number {
  return PROCESS_BYTES + 2 * outboxBytes + 2 * answerBytes;
}
