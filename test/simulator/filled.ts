let longest = Buffer.alloc(65_536, "a");

/** So many bytes, which nobody changes: they are shared by all. */
export function filled(bytes: number): Buffer {
  if (bytes > longest.length) longest = Buffer.alloc(2 * bytes, "a");
  return longest.subarray(0, bytes);
}
