/** Smaller buffers are left to the garbage collector. */
const LEAST_BYTES = 65_536;

/**
 * Gives the memory of a large buffer back at once: the collector would do it late, and much sooner for everything else.
 * The buffer must not be used any more; one that is a part of another's memory is left as it is.
 */
export function freeBuffer(buffer: Buffer): void {
  const { buffer: behind, length } = buffer;
  if (length >= LEAST_BYTES && length === behind.byteLength && behind instanceof ArrayBuffer) behind.transfer(0);
}
