import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A configuration file of its own; closing it removes it. */
export async function configFile(
  text: string,
): Promise<AsyncDisposable & { path: string; write(text: string): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-config-"));
  const path = join(folder, "pgnetd.yaml");
  await writeFile(path, text);
  return {
    path,
    write: (changed) => writeFile(path, changed),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
