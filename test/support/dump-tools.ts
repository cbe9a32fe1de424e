import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { wantedMajor } from "./postgres-versions.ts";

const run = promisify(execFile);

/** True where `pg_dump` and `pg_restore` are installed that know the PostgreSQL under test; npm has none. */
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
