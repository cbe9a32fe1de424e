import type { Log } from "../../src/base/log.ts";

const nothing = (): void => undefined;

/** A log that nobody reads. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
