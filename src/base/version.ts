import { readFileSync } from "node:fs";

const file = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

/** The version of this pgnetd. */
export const VERSION = file.version;
