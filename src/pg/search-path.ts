/**
 * Where unqualified names are looked up: nowhere but in PostgreSQL's own schema, so that nobody who may create functions,
 * operators or types in some schema can have them used in place of PostgreSQL's own.
 */
export const PINNED_PATH = "pg_catalog,pg_temp";

/**
 * The first statement of a session. A setting of the session wins over those of the role, the database, the server and the
 * url, and takes effect also behind a pooler that passes over startup options.
 */
export const PIN_PATH = `select pg_catalog.set_config('search_path', '${PINNED_PATH}', false)`;

/**
 * A condition that is always true, for the main query of a statement that changes rows: from there on until the end of
 * the transaction, so in triggers, the path is the one that the database has for its users. pg_net's worker runs triggers
 * so. The statement itself was analysed before, in the pinned path; and as a subquery the condition is evaluated once,
 * before anything else that the main query does.
 */
export const TRIGGERS_IN_USERS_PATH = "(select pg_catalog.set_config('search_path', null, true)) is not null";
