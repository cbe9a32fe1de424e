/**
 * Where unqualified names are looked up: nowhere but in PostgreSQL's own schema, so that nobody who may create functions,
 * operators or types in some schema can have them used in place of PostgreSQL's own.
 */
export const PINNED_PATH = "pg_catalog,pg_temp";

/** SQL that ends `transaction_timeout` for the session, and is null before PostgreSQL 17, which has it not and refuses it as an option at the start. */
export const NO_TRANSACTION_TIMEOUT = `case when pg_catalog.current_setting('transaction_timeout', true) is not null
  then pg_catalog.set_config('transaction_timeout', '0', false) end`;

/**
 * The first statement of a session. A setting of the session wins over those of the role, the database, the server and the
 * url, and takes effect also behind a pooler that passes over startup options.
 */
export const PIN_SESSION = `select pg_catalog.set_config('search_path', '${PINNED_PATH}', false), ${NO_TRANSACTION_TIMEOUT}`;

/**
 * A condition that is always true, for the main query of a statement that changes rows: from there on until the end of
 * the transaction, so in triggers, search_path and row_security are those that the database has for its users. pg_net's worker runs triggers
 * so. The statement itself was analysed before, with those of the session; and as a subquery the condition is evaluated once,
 * before anything else that the main query does.
 */
export const TRIGGERS_AS_FOR_USERS =
  "(select pg_catalog.concat(pg_catalog.set_config('search_path', null, true), pg_catalog.set_config('row_security', null, true))) is not null";
