import { isUtf8 } from "node:buffer";
import { MIMEType } from "node:util";

/** Content as PostgreSQL's `text` can hold it. */
export interface DecodedContent {
  /** In UTF-8; null where the content is not text. */
  readonly text: Buffer | null;
  /** False when the text does not give the bytes back: they are then worth keeping elsewhere. */
  readonly lossless: boolean;
}

/** P6: of a longer media type no charset is read: MIMEType takes time with the square of its blanks. */
const LONGEST_MEDIA_TYPE = 512;
/** Larger content than this is text only as it is: to decode it would keep all others waiting. */
const MOST_DECODED = 1_048_576;
/** Smaller content than this is always text: of a word or two in another charset than said, few characters can be read. */
const LEAST_JUDGED = 1_024;
/** What lies between is judged by this many bytes at its beginning. */
const JUDGED_BYTES = 65_536;
/** It is not text where more than this share of its characters cannot be read. */
const MOST_UNREADABLE = 1 / 4;

/**
 * `content` as text by the charset of `contentType`; UTF-8 where it names none, or none known. What the charset does not
 * know, and NUL, which PostgreSQL's text cannot hold, appears as U+FFFD (one for each malformed sequence or NUL). Content
 * of which much is such is not text, nor is large content that is not UTF-8.
 */
export function decodeContent(content: Buffer, contentType: string | null): DecodedContent {
  const charset = contentType === null ? null : charsetOf(contentType);
  if (charset === null && isUtf8(content) && !content.includes(0)) return { text: content, lossless: true };
  if (content.length > MOST_DECODED || (content.length > LEAST_JUDGED && !isText(content, charset)))
    return { text: null, lossless: false };
  const { text, lossless } = charset === null ? decodeUtf8(content) : decodeAs(charset, content);
  return text.includes(0) ? { text: withoutNul(text), lossless: false } : { text, lossless };
}

/** The charset, null for UTF-8. */
function charsetOf(contentType: string): string | null {
  if (contentType.length > LONGEST_MEDIA_TYPE || !/charset/i.test(contentType)) return null;
  try {
    const charset = new MIMEType(contentType).params.get("charset");
    return charset === null || /^utf-?8$/i.test(charset) ? null : charset;
  } catch {
    return null; // Not a media type at all.
  }
}

interface Text {
  readonly text: Buffer;
  readonly lossless: boolean;
}

function decodeUtf8(content: Buffer): Text {
  return isUtf8(content)
    ? { text: content, lossless: true }
    : { text: Buffer.from(content.toString("utf8")), lossless: false };
}

function decodeAs(charset: string, content: Buffer): Text {
  try {
    return { text: Buffer.from(new TextDecoder(charset, { fatal: true }).decode(content)), lossless: true };
  } catch (error) {
    if (error instanceof RangeError) return decodeUtf8(content); // A charset that nobody knows.
    return { text: Buffer.from(new TextDecoder(charset).decode(content)), lossless: false };
  }
}

function isText(content: Buffer, charset: string | null): boolean {
  const start = content.subarray(0, JUDGED_BYTES);
  const characters = (charset === null ? decodeUtf8(start) : decodeAs(charset, start)).text.toString();
  let unreadable = 0;
  for (const character of characters) if (character === "\ufffd" || character === "\0") unreadable += 1;
  return unreadable <= characters.length * MOST_UNREADABLE;
}

/** U+FFFD in UTF-8 for each NUL. */
function withoutNul(text: Buffer): Buffer {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) if (text[at] === 0) count += 1;
  const changed = Buffer.allocUnsafe(text.length + 2 * count);
  let to = 0;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at] ?? 0;
    if (byte === 0) {
      changed[to] = 0xef;
      changed[to + 1] = 0xbf;
      changed[to + 2] = 0xbd;
      to += 3;
    } else {
      changed[to] = byte;
      to += 1;
    }
  }
  return changed;
}
