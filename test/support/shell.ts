import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { COMPILE_CACHE } from "./compile-cache.ts";
import { ROOT } from "./markdown.ts";

/**
 * Runs a block of shell commands, with `pgnetd` in the path, and returns what they printed; rejects where one fails. `programs`
 * are scripts by name that come before those of the system.
 */
export async function shell(
  commands: string,
  databaseUrl: string,
  programs: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-docs-"));
  const all = { pgnetd: `exec "${process.execPath}" "${join(ROOT, "src/cli/main.ts")}" "$@"`, ...programs };
  for (const [name, script] of Object.entries(all)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const env = {
    PATH: `${folder}:${process.env["PATH"] ?? ""}`,
    DATABASE_URL: databaseUrl,
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    PGNETD_ALLOW_NETWORKS: "127.0.0.0/8",
  };
  try {
    return (await promisify(execFile)("sh", ["-ec", commands], { cwd: folder, env, timeout: 60_000 })).stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}
