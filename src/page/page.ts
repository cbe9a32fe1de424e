import type { IncomingMessage, ServerResponse } from "node:http";

import { systemClock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { redact } from "../config/redact.ts";
import type { Config } from "../config/settings.ts";
import { refusedAction, refusedHost, refusedReader, refusedSite } from "./access.ts";
import { act } from "./actions.ts";
import { fileAt, SECURITY_HEADERS } from "./files.ts";
import { jsonOf } from "./frame.ts";
import { LiveView } from "./live-view.ts";
import { Refusals } from "./refusals.ts";
import { Search } from "./search.ts";
import type { PageSource } from "./source.ts";
import { PageStatements } from "./statements.ts";
import { MOST_WATCHERS } from "./watchers.ts";

/** What the page needs. */
export interface PageOptions {
  /** Those in force. */
  readonly settings: () => Config["page"];
  /** The daemon at work. */
  readonly source: () => PageSource;
  readonly log: Log;
}

/** The page: answers requests for it. Closing it ends the streams of those who watch. */
export interface Page extends Disposable {
  /** Answers where the path is one of the page's; false where it is not. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** The settings have changed: whoever watches asks again, and is checked by those. */
  endStreams(): void;
}

const EVENTS = "/page/events";
const SEARCH = "/page/search";
const ACTIONS = "/page/actions";

const ONLY_FROM_HERE =
  "the page is shown to connections from the daemon's own machine; page.readToken (PGNETD_PAGE_READ_TOKEN) or page.open (PGNETD_PAGE_OPEN) shows it to others";

const ASKED = "the password is page.readToken (PGNETD_PAGE_READ_TOKEN) or page.token (PGNETD_PAGE_TOKEN)";

const MOST_BODY_BYTES = 2_048;
const MOST_QUERY = 2_048;

/** Opens the page. P8: while nobody watches it asks the database for nothing. */
export function openPage({ settings, source, log }: PageOptions): Page {
  const db = new PageStatements(() => source().db);
  const refusedActions = new Refusals(log, "the page: an action was refused");
  const refusedReaders = new Refusals(log, "the page: a reader was refused");
  const search = new Search(db, systemClock);
  const live = new LiveView({ settings, source, db });

  const answerOf = async (request: IncomingMessage, url: URL): Promise<Answer> => {
    const { urls, token } = settings();
    if (url.pathname === SEARCH) {
      const text = url.searchParams.get("q") ?? "";
      return { status: 200, body: await search.find(text.slice(0, MOST_QUERY), urls) };
    }
    if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
      return { status: 415, body: { message: "the content must be application/json" } };
    }
    const from = request.socket.remoteAddress ?? "";
    const refused = refusedAction(request.headers, token);
    if (refused !== null) {
      refusedActions.refused(from, refused);
      return { status: 403, body: { message: refused } };
    }
    const { status, message } = await act(db, await bodyOf(request), { log, from });
    live.refresh();
    return { status, body: { message } };
  };

  const refusedRead = ({ headers, socket }: IncomingMessage): Answer | null => {
    const from = socket.remoteAddress ?? "";
    const refusal = refusedReader(headers, from, settings());
    if (refusal === null) return null;
    if (refusal === "forbidden") return { status: 403, body: { message: ONLY_FROM_HERE } };
    if (refusal === "token-wrong") refusedReaders.refused(from, "the password is none of the tokens");
    return { status: 401, body: { message: ASKED }, headers: { "WWW-Authenticate": 'Basic realm="pgnetd"' } };
  };

  return {
    async handle(request, response) {
      const url = URL.parse(`http://page${request.url ?? ""}`);
      if (url === null || !settings().enabled || !isOurs(url.pathname)) return false;
      const { pathname } = url;
      const method = pathname === ACTIONS ? "POST" : "GET";
      const refused =
        refusedHost(request.headers, settings().hosts) ?? (isFile(pathname) ? null : refusedSite(request.headers));
      if (refused !== null) return reply(response, { status: 403, body: { message: refused } });
      // An action asks for a token of its own.
      const unread = pathname === ACTIONS ? null : refusedRead(request);
      if (unread !== null) return reply(response, unread);
      if (request.method !== method && !(isFile(pathname) && request.method === "HEAD")) {
        const allowed = { Allow: isFile(pathname) ? "GET, HEAD" : method };
        return reply(response, { status: 405, body: { message: `${method} is allowed` }, headers: allowed });
      }
      try {
        if (isFile(pathname)) return await replyFile(response, pathname);
        if (pathname !== EVENTS) return reply(response, await answerOf(request, url));
        if (live.watchers.count >= MOST_WATCHERS) {
          return reply(response, { status: 503, body: { message: "too many have the page open" } });
        }
        live.watch(response, SECURITY_HEADERS);
        return true;
      } catch (error) {
        return reply(response, { status: 500, body: { message: redact(toError(error).message) } });
      }
    },
    endStreams: () => live.watchers.end(),
    [Symbol.dispose]: () => live[Symbol.dispose](),
  };
}

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

function isOurs(path: string): boolean {
  return path === "/" || path.startsWith("/page/");
}

function isFile(path: string): boolean {
  return path !== EVENTS && path !== SEARCH && path !== ACTIONS;
}

async function replyFile(response: ServerResponse, path: string): Promise<true> {
  const file = await fileAt(path);
  if (file === null) return reply(response, { status: 404, body: { message: "there is no such file" } });
  return write(response, 200, file.type, file.content);
}

function reply(response: ServerResponse, { status, body, headers = {} }: Answer): true {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  return write(response, status, "application/json; charset=utf-8", Buffer.from(jsonOf(body)));
}

/** Node leaves the content out where the request was a HEAD. */
function write(response: ServerResponse, status: number, type: string, content: Buffer): true {
  if (response.headersSent) return true;
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    "Content-Type": type,
    "Content-Length": content.length,
    "Cache-Control": "no-store",
  });
  response.end(content);
  return true;
}

/** What was sent, as JSON; undefined where it is none, or too long. */
async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}
