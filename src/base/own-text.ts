/** What a part may keep of the text that it was taken from, in characters. */
const MOST_KEPT = 512;

/** P5: `part` of `whole`, with memory of its own where that is long: in V8 a part keeps all of the text that it was taken from. */
export function ownText(part: string, whole: string): string {
  return whole.length > MOST_KEPT ? Buffer.from(part).toString() : part;
}
