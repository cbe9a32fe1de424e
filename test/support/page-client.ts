import { request } from "node:http";

/** An answer of the page. */
export interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** What is asked: headers may be any, those of browsers included. */
export interface PageRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Asks a daemon's page for `path`, as given: nothing in it is resolved. */
export async function askPage(address: string, path: string, asked: PageRequest = {}): Promise<PageAnswer> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, body } = asked;
    const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on("error", reject);
    });
    sent.on("error", reject).end(body);
  });
}

/** Events of a page that is watched. Closing it ends the watching. */
export interface PageWatch extends Disposable {
  /** The data of the latest event of each name. */
  readonly latest: ReadonlyMap<string, unknown>;
  /** Everything that was sent so far. */
  readonly text: string;
  /** False once the daemon has ended the stream. */
  readonly isOpen: boolean;
}

/** Watches a daemon's page. */
export async function watchPage(address: string): Promise<PageWatch> {
  const latest = new Map<string, unknown>();
  let text = "";
  let rest = "";
  let isOpen = true;
  return new Promise((resolve, reject) => {
    const sent = request(`${address}/page/events`, { agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${response.statusCode}`));
      response.on("error", () => undefined);
      response.on("close", () => (isOpen = false));
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const events = (rest + chunk).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
          if (name !== undefined && data !== undefined) latest.set(name, JSON.parse(data));
        }
      });
      resolve({
        latest,
        get text() {
          return text;
        },
        get isOpen() {
          return isOpen;
        },
        [Symbol.dispose]: () => sent.destroy(),
      });
    });
    sent.on("error", reject).end();
  });
}
