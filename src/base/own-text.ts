/** P5: `text` with memory of its own: in V8 a part of a longer text keeps all of that. */
export function ownText(text: string): string {
  return Buffer.from(text).toString();
}
