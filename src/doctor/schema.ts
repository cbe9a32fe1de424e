import { schemaProblem } from "../pg/await-schema.ts";
import { environmentProblem } from "../pg/environment.ts";
import { findInstallation } from "../pg/installation.ts";
import { missingInstallation } from "../pg/schema-access.ts";
import { ownedByExtension } from "../pg/migrate.ts";
import { LATEST_VERSION } from "../pg/migrations.ts";
import { OWNING_EXTENSION } from "../pg/owning-extension.ts";
import { compareObjects, foundObjects, wantedObjects } from "../pg/schema-objects.ts";
import { type Check, type DatabaseContext, failure, ok, type Result, skipped, warning } from "./check.ts";

const INSTALLED = { stage: "installed", needs: ["schema-version"], on: "database" } as const;

/** What is in schema `net`. */
export const SCHEMA_CHECKS: readonly Check[] = [
  { id: "extension-pg-net", group: "schema", stage: "always", on: "database", run: checkExtension },
  {
    id: "schema-version",
    group: "schema",
    stage: "installed",
    needs: ["extension-pg-net", "schema-owner"],
    on: "database",
    run: async ({ db }) => {
      const problem = await schemaProblem(db);
      if (problem === null) return ok(`the schema is at version ${LATEST_VERSION}, the latest`);
      return failure(problem.message, problem.hint);
    },
  },
  { id: "environment", group: "schema", ...INSTALLED, run: checkEnvironment },
  { id: "schema-objects", group: "schema", ...INSTALLED, run: checkObjects },
];

async function checkExtension({ db }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ owner: string | null }>({ text: `select ${OWNING_EXTENSION} as owner` });
  const owner = rows[0]?.owner ?? null;
  if (owner === null) return ok("no extension owns schema net");
  const { message, hint } = ownedByExtension(owner);
  return failure(message, hint);
}

async function checkEnvironment({ db, config }: DatabaseContext): Promise<Result> {
  const installation = await findInstallation(db);
  if (installation === null) {
    const { message, hint } = await missingInstallation(db);
    return failure(message, hint);
  }
  const { environment } = config.database;
  const problem = environmentProblem(installation, environment);
  if (problem !== null) return failure(problem.message, problem.hint);
  if (environment !== null) return ok(`the database is recorded for ${environment}`);
  return ok("no environment is named: a copy of the whole cluster would send the same requests again");
}

/** At most this many objects are named. */
const MOST_NAMED = 5;

async function checkObjects({ db }: DatabaseContext): Promise<Result> {
  const wanted = await wantedObjects();
  if (wanted.size === 0) return skipped("sql/schema.snapshot.sql is not there to compare with");
  const { missing, altered } = compareObjects(wanted, await foundObjects(db));
  const fix = (names: readonly string[]): string => {
    const indexes = names.filter((name) => name.startsWith("index ")).map((name) => `${wanted.get(name)};`);
    return `put back what sql/schema.snapshot.sql has${indexes.length === 0 ? "" : `: ${indexes.join(" ")}`}`;
  };
  if (missing.length > 0) return failure(`missing: ${listed(missing)}`, fix(missing));
  if (altered.length > 0) return warning(`altered: ${listed(altered)}`, fix(altered));
  return ok(`all ${wanted.size} objects are as the migrations make them`);
}

function listed(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
