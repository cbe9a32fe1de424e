import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** A change is noticed so soon, in milliseconds, when the content is asked for. */
const LOOK_EVERY_MS = 1_000;

/** Of a larger file only the beginning is read. */
const MOST_BYTES = 1024 * 1024;

/**
 * A small file of the system, read again when it has changed. It is read in place, since that takes microseconds; where it
 * cannot be read what it held before counts.
 */
export class WatchedFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #value: T;
  #version = "";
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.#value = parse("");
  }

  /** What it holds, as parsed; the same object as long as it has not changed. */
  read(now: number): T {
    if (now - this.#lookedAt < LOOK_EVERY_MS) return this.#value;
    this.#lookedAt = now;
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version !== this.#version) {
        this.#value = this.#parse(readBeginning(this.#path));
        this.#version = version;
      }
    } catch {
      // Being replaced, or no descriptor is left: the next read may succeed.
    }
    return this.#value;
  }
}

function readBeginning(path: string): string {
  const file = openSync(path, "r");
  try {
    const content = Buffer.alloc(Math.min(fstatSync(file).size, MOST_BYTES));
    return content.toString("latin1", 0, readSync(file, content));
  } finally {
    closeSync(file);
  }
}
