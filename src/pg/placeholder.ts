import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { PgnetdError, toError } from "../base/errors.ts";
import { readSql } from "./migrations.ts";

/** The pg_net whose functions and tables pgnetd has, and so the version that the placeholder reports. */
export const PG_NET_VERSION = "0.20.4";

/**
 * The versions of pg_net before it. Migrations that tools write ask for the one that was installed
 * (`create extension pg_net version '0.19.5'`), and dumps of such a database are updated.
 */
const EARLIER_VERSIONS = (
  "0.1 0.2 0.3 0.4 0.5 0.5.1 0.6 0.7 0.7.1 0.7.2 0.7.3 0.8 0.8.0 0.9.0 0.9.1 0.9.2 0.9.3 0.10.0 0.11.0 " +
  "0.11.1 0.12.0 0.13.0 0.14.0 0.15.0 0.15.1 0.16.0 0.17.0 0.18.0 0.19.0 0.19.1 0.19.2 0.19.3 0.19.4 " +
  "0.19.5 0.19.6 0.19.7 0.20.0 0.20.1 0.20.2 0.20.3"
).split(" ");

const FIRST_VERSION = EARLIER_VERSIONS[0] ?? PG_NET_VERSION;
const CONTROL = "pg_net.control";
const MARK = "Placeholder of pgnetd";
const NO_CHANGE = "-- The placeholder of every version creates nothing.\n";

/** The update from each version to the next. */
const UPDATES: readonly (readonly [from: string, to: string])[] = EARLIER_VERSIONS.map((version, index) => [
  version,
  EARLIER_VERSIONS[index + 1] ?? PG_NET_VERSION,
]);

/**
 * Writes the placeholder extension into `folder`, a server's extension folder, and returns how many files that were. Throws
 * USAGE where the folder is none, and NOT_DONE where pg_net itself is in it.
 */
export async function writePlaceholder(folder: string): Promise<number> {
  if (basename(folder) !== "extension") {
    throw new PgnetdError("USAGE", `PostgreSQL looks for extensions in folders called extension, not in ${folder}`, {
      hint: `Did you mean ${join(folder, "extension")}?`,
    });
  }
  try {
    await refusePgNet(folder);
    const files = await placeholderFiles();
    // The control file comes last: without it the scripts are not read.
    for (const [name, text] of files) await replaceFile(join(folder, name), text);
    return files.size;
  } catch (error) {
    if (error instanceof PgnetdError) throw error;
    throw new PgnetdError("NOT_DONE", `the extension was not written: ${toError(error).message}`, {
      cause: error,
      hint: "Run it as a user who may write into that folder, on the machine of the server.",
    });
  }
}

/** SQL that installs the placeholder through pg_tle, for servers without access to their files. */
export async function placeholderForPgTle(): Promise<string> {
  const script = await readSql(`extension/pg_net--${PG_NET_VERSION}.sql`);
  const comment = /^comment = '(.*)'$/m.exec(await readSql(`extension/${CONTROL}`))?.[1] ?? "";
  const texts = (versions: readonly string[]): string => versions.map((version) => `'${version}'`).join(", ");
  return `select pgtle.install_extension('pg_net', '${FIRST_VERSION}', '${comment}', $pgnetd$
${script}$pgnetd$);
select pgtle.install_update_path('pg_net', one.source, one.target, $pgnetd$
${NO_CHANGE}$pgnetd$)
from unnest(
  array[${texts(UPDATES.map(([from]) => from))}],
  array[${texts(UPDATES.map(([, to]) => to))}]
) as one (source, target);
select pgtle.set_default_version('pg_net', '${PG_NET_VERSION}');
create extension pg_net;`;
}

async function refusePgNet(folder: string): Promise<void> {
  // The folder itself may be new, as for extension_control_path; a parent that is not there is a slip.
  await mkdir(folder).catch((error: unknown) => {
    if ((toError(error) as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  });
  const there = await readFile(join(folder, CONTROL), "utf8").catch(() => "");
  if (there === "" || there.includes(MARK)) return;
  throw new PgnetdError("NOT_DONE", `${folder} has pg_net itself, or another placeholder of it: nothing was written`, {
    hint: "Remove its package or its files first, once no database has the extension; see docs/from-pg_net.md.",
  });
}

async function placeholderFiles(): Promise<ReadonlyMap<string, string>> {
  const script = await readSql(`extension/pg_net--${PG_NET_VERSION}.sql`);
  return new Map([
    ...UPDATES.map(([from, to]) => [`pg_net--${from}--${to}.sql`, NO_CHANGE] as const),
    ...[FIRST_VERSION, PG_NET_VERSION].map((version) => [`pg_net--${version}.sql`, script] as const),
    [CONTROL, await readSql(`extension/${CONTROL}`)],
  ]);
}

/** A server that reads the file meanwhile has the old one or the new one, whatever our umask is. */
async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await writeFile(fresh, text);
  await chmod(fresh, 0o644);
  await rename(fresh, path);
}
