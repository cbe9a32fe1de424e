import { expect, test } from "vitest";
import { type Claim, environmentProblem, isCopy, type Place } from "../../src/pg/environment.ts";

const HERE: Place = { database: "16384", table: "16402", row: "745", system: "7400000000000000001" };
const NONE: Claim = { environment: null, recorded: HERE, place: HERE };
const ELSEWHERE = { ...HERE, table: "16999" };
const COPY: Claim = { ...NONE, place: ELSEWHERE };
const PRODUCTION: Claim = { ...NONE, environment: "production" };

test.for([
  ["where no daemon ran yet", null, HERE, false],
  ["where a daemon ran", HERE, HERE, false],
  ["after pg_upgrade, or a cluster of its own for a base backup", HERE, { ...HERE, system: "8" }, false],
  ["after a program rewrote the table", HERE, { ...HERE, row: "99999" }, false],
  ["where the cluster may not be known", HERE, { ...HERE, row: "99999", system: null }, false],
  ["made of a template", HERE, { ...HERE, database: "16999" }, true],
  ["restored from a dump", HERE, { ...HERE, table: "16999", row: "800", system: "8" }, true],
  ["restored from a dump to where the oids are the same", HERE, { ...HERE, row: "800", system: "8" }, true],
] as const)("a database %s is distinguished from a copy", ([, recorded, place, expected]) => {
  expect(isCopy({ recorded, place })).toBe(expected);
});

test.for([
  [NONE, null],
  [{ ...NONE, recorded: null }, null],
  [PRODUCTION, "production"],
  // Named and equal: a restored dump takes the place of what it was made from.
  [{ ...COPY, environment: "production" }, "production"],
] as const)("a database of %j is served by a daemon of %s", ([claim, wanted]) => {
  expect(environmentProblem(claim, wanted)).toBeNull();
});

test.for([
  [PRODUCTION, null, "recorded for the environment production, and no environment is set here"],
  [PRODUCTION, "staging", "recorded for the environment production, and the environment set here is staging"],
  [PRODUCTION, "Production", "recorded for the environment production, and the environment set here is Production"],
  [NONE, "staging", "recorded for no environment, and the environment set here is staging"],
  [COPY, null, "is a copy"],
  [COPY, "staging", "is a copy"],
] as const)("a database of %j is refused by a daemon of %s", ([claim, wanted, message]) => {
  const problem = environmentProblem(claim, wanted);
  expect(problem).toMatchObject({ code: "WRONG_ENVIRONMENT", exitCode: 78, retry: false });
  expect(problem?.message).toContain(message);
  expect(problem?.hint).toMatch(/^Nothing was sent\..*pgnetd adopt/);
});
