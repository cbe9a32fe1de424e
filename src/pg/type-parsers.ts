import pg from "pg";

import { readJson } from "./json.ts";

// For every connection of this process, and for the rows that the stream brings: both must read the same.
pg.types.setTypeParser(pg.types.builtins.JSONB, readJson);
// A time stays as PostgreSQL writes it: a Date has no microseconds.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text);
