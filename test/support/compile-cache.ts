import { join } from "node:path";

/**
 * Where Node keeps what it compiled of a daemon and its libraries, for the next one: a test run starts hundreds, and each would
 * compile for half a second of processor time. A folder that cannot be written does no harm.
 */
export const COMPILE_CACHE = join(import.meta.dirname, "../../node_modules/.cache/pgnetd-tests");
