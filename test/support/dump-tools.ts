import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { wantedMajor } from "./postgres-versions.ts";

const run = promisify(execFile);

/** True where `pg_dump`, `pg_restore` and `psql` are installed that know the PostgreSQL under test; npm has none. */
export async function dumpToolsAreThere(): Promise<boolean> {
  try {
    const { stdout } = await run("pg_dump", ["--version"]);
    return Number(/ (\d+)/.exec(stdout)?.[1]) >= wantedMajor();
  } catch {
    return false;
  }
}

/** Copies the database at `from` into the one at `to`; rejects with what went wrong, whatever else was restored. */
export async function dumpAndRestore(from: string, to: string, file: string): Promise<void> {
  await run("pg_dump", ["--format=custom", `--file=${file}`, from]);
  await run("pg_restore", [`--dbname=${to}`, file]);
}

/** Writes the database at `from` into `file` as SQL; `options` are those of `pg_dump`. */
export async function dumpSql(from: string, file: string, ...options: readonly string[]): Promise<void> {
  await run("pg_dump", [...options, `--file=${file}`, from]);
}

/** Runs a file of SQL in the database at `to` with `psql`; rejects at the first error. */
export async function runSqlFile(to: string, file: string): Promise<void> {
  await run("psql", ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", `--file=${file}`, to]);
}
