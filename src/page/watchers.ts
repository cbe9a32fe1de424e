import type { ServerResponse } from "node:http";

import { jsonOf } from "./frame.ts";

/** Watchers at once. */
export const MOST_WATCHERS = 50;
/** One that has so many bytes unread is sent nothing more, and begins anew. */
const MOST_UNREAD = 1024 ** 2;

/** Who has the page open: streams of server-sent events. */
export class Watchers {
  readonly #open = new Set<ServerResponse>();
  readonly #changed: (count: number) => void;

  /** `changed` is called with their number when one comes or goes. */
  constructor(changed: (count: number) => void) {
    this.#changed = changed;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Begins a stream. Its head is written, and the events in `first`. */
  add(
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
    first: Readonly<Record<string, unknown>>,
  ): void {
    response.writeHead(200, { ...headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    // A browser whose stream was cut asks again after this many milliseconds.
    response.write(
      `retry: 2000\n\n${Object.entries(first)
        .map(([name, data]) => eventOf(name, data))
        .join("")}`,
    );
    this.#open.add(response);
    response.once("close", () => {
      this.#open.delete(response);
      this.#changed(this.#open.size);
    });
    this.#changed(this.#open.size);
  }

  send(name: string, data: unknown): void {
    if (this.#open.size === 0) return;
    const event = eventOf(name, data);
    for (const response of this.#open) {
      if (response.writableLength > MOST_UNREAD) response.destroy();
      else response.write(event);
    }
  }

  /** Cuts all of them: a browser asks again, and is asked who it is. */
  end(): void {
    for (const response of this.#open) response.destroy();
  }
}

function eventOf(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${jsonOf(data)}\n\n`;
}
