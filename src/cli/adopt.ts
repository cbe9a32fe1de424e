import type { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { type Adoptable, adopt, type Adoption, assertAdoptable, readAdoptable } from "../ops/adopt.ts";
import { connect } from "../pg/connection.ts";
import { migrate } from "../pg/migrate.ts";
import { missingAccess } from "../pg/schema-access.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { usage } from "./usage.ts";

const ADOPTIONS: readonly Adoption[] = ["discard", "keep", "moved"];

/** What `pgnetd adopt` takes: one of `ADOPTIONS` at most. */
export type AdoptFlags = ConfigFlag & { readonly [adoption in Adoption | "json"]?: boolean };

/** `pgnetd adopt`: makes a copy of a database an installation of its own; without a flag it only says what is there. */
export async function runAdopt(flags: AdoptFlags, { env, print, stop }: CommandContext): Promise<void> {
  const { database } = loadConfig({ env, file: flags.config });
  const isJson = flags.json === true;
  const adoption = ADOPTIONS.find((one) => flags[one] === true);
  const client = await connect(database.url, "adopt");
  try {
    const missing = await missingAccess(client);
    if (missing !== null) throw missing;
    if (adoption === undefined) {
      const found = await readAdoptable(client);
      const lines = isJson ? [asJson(found, database.environment, null)] : planLines(found, database.environment);
      for (const line of lines) print(line);
      throw usage(`nothing was changed: adopt needs one of ${ADOPTIONS.map((one) => `--${one}`).join(", ")}`, "adopt");
    }
    await assertAdoptable(client, database.environment);
    // Whatever it is recorded for: the schema may be of a version that knows no environments.
    const waiting = ({ message, hint }: PgnetdError): void => (isJson ? undefined : print(`${message}. ${hint}`));
    await migrate(client, { url: database.url, signal: stop, waiting });
    const before = await adopt(client, database.environment, adoption);
    if (isJson) print(asJson(before, database.environment, adoption));
    else for (const line of doneLines(before, database.environment, adoption)) print(line);
  } finally {
    await client.end();
  }
}

/** What was there, and the environment that it is recorded for now, or, where nothing was adopted, would be. */
function asJson(found: Adoptable, environment: string | null, adopted: Adoption | null): string {
  const { installation, requests, deadLetters } = found;
  const environmentBefore = installation?.environment ?? null;
  return JSON.stringify({ adopted, environment, environmentBefore, requests, deadLetters });
}

function planLines({ installation, requests, deadLetters }: Adoptable, environment: string | null): readonly string[] {
  return [
    `recorded for ${named(installation?.environment ?? null)}; would be recorded for ${named(environment)}`,
    `${requests} requests wait: --discard deletes them, --keep and --moved leave them to be sent from here`,
    `${deadLetters} dead letters stay as they are`,
  ];
}

function doneLines({ requests }: Adoptable, environment: string | null, adoption: Adoption): readonly string[] {
  return [
    `this database is recorded for ${named(environment)}`,
    adoption === "moved" ? "the installation keeps its id" : "the installation has a new id",
    adoption === "discard" ? `${requests} requests are deleted` : `${requests} requests wait, to be sent from here`,
  ];
}

function named(environment: string | null): string {
  return environment === null ? "no environment" : `the environment ${environment}`;
}
