/** What each exit code means; those above 63 are of sysexits.h. */
export const EXIT_CODES: ReadonlyMap<number, string> = new Map([
  [0, "done, or stopped as asked by SIGTERM or Ctrl-C"],
  [1, "a check of pgnetd doctor failed, or the request of pgnetd send"],
  [64, "wrong command or option"],
  [65, "the schema is missing, or newer than this pgnetd"],
  [69, "the database or its stream cannot be reached, or the port is in use"],
  [70, "a migration failed, or a defect in pgnetd"],
  [75, "not done: ended too early, or something is in the way"],
  [77, "the database refused the login, or a right is missing"],
  [78, "wrong configuration"],
]);
