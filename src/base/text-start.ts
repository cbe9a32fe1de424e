/** Characters of a message that are shown: whoever may change answers may store one of a gigabyte. */
const LONGEST_TEXT = 2_048;

/** SQL for as many characters of a message as are read for `textStart`. */
export function startOfText(column: string): string {
  return `pg_catalog.left(${column}, ${LONGEST_TEXT})`;
}

/** P5: as much of `text` as is shown. P11: up to a blank, since what is cut off may be all that tells a secret from a url. */
export function textStart(text: string): string {
  if (text.length < LONGEST_TEXT) return text;
  return `${text.slice(0, Math.max(0, text.lastIndexOf(" ", LONGEST_TEXT)))} …`;
}
