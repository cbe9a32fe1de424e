/** What stands in the place of a secret. */
export const MASK = "***";

/** `text` with the passwords of all URLs in it masked, whether in the user part or in a query parameter (P11). */
export function redactUrls(text: string): string {
  return text
    .replace(/(postgres(?:ql)?:\/\/[^\s/?#:@]*):\S*@/gi, `$1:${MASK}@`)
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*):[^\s/?#]*@/gi, `$1:${MASK}@`)
    .replace(/([?&](?:password|sslpassword|passphrase)=)[^\s&#]*/gi, `$1${MASK}`);
}

/** A secret setting's value in the form that may be shown: a well-formed URL without its password, else nothing of it. */
export function maskSecret(value: string): string {
  if (!URL.canParse(value)) return MASK;
  const url = new URL(value);
  if (url.password !== "") url.password = MASK;
  url.hash = "";
  return redactUrls(url.href);
}
