import { isUtf8 } from "node:buffer";
import { MIMEType } from "node:util";

/** Content as PostgreSQL's `text` can hold it. */
export interface DecodedContent {
  readonly text: string;
  /** False when bytes had to be replaced: those received are then worth keeping elsewhere. */
  readonly lossless: boolean;
}

/**
 * `content` as text by the charset of `contentType`; UTF-8 where it names none, or none known. What the charset does not
 * know, and NUL, which PostgreSQL's text cannot hold, appears as U+FFFD (one for each malformed sequence or NUL).
 */
export function decodeContent(content: Buffer, contentType: string | null): DecodedContent {
  const charset = contentType === null ? null : charsetOf(contentType);
  const decoded = charset === null ? decodeUtf8(content) : decodeAs(charset, content);
  if (!decoded.text.includes("\0")) return decoded;
  return { text: decoded.text.replaceAll("\0", "\ufffd"), lossless: false };
}

/** The charset, null for UTF-8. */
function charsetOf(contentType: string): string | null {
  if (!/charset/i.test(contentType)) return null;
  try {
    const charset = new MIMEType(contentType).params.get("charset");
    return charset === null || /^utf-?8$/i.test(charset) ? null : charset;
  } catch {
    return null; // Not a media type at all.
  }
}

function decodeUtf8(content: Buffer): DecodedContent {
  return { text: content.toString("utf8"), lossless: isUtf8(content) };
}

function decodeAs(charset: string, content: Buffer): DecodedContent {
  try {
    return { text: new TextDecoder(charset, { fatal: true }).decode(content), lossless: true };
  } catch (error) {
    if (error instanceof RangeError) return decodeUtf8(content); // A charset that nobody knows.
    return { text: new TextDecoder(charset).decode(content), lossless: false };
  }
}
