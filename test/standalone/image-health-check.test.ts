import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type Health, openHealthServer } from "../../src/ops/health.ts";
import { textOf } from "../support/deployment-files.ts";

const run = promisify(execFile);

const [, command = "[]"] = /^ {2}CMD (\[.*\])$/m.exec(textOf("Dockerfile")) ?? [];
const args = (JSON.parse(command) as readonly string[]).slice(1);

/** The exit code of the image's health check. */
async function check(env: Readonly<Record<string, string>>): Promise<unknown> {
  return run(process.execPath, args, { env }).then(
    () => 0,
    (error: unknown) => (error as { readonly code: unknown }).code,
  );
}

test.each([
  ["127.0.0.2", ["127.0.0.2"], ["127.0.0.1", "0.0.0.0"]],
  ["127.0.0.1", ["", "0.0.0.0"], ["127.0.0.2"]],
  ["::1", ["::", "::1"], ["127.0.0.1"]],
])("the image's health check asks the address in PGNETD_HOST: %s", async (host, right, wrong) => {
  const health = { ready: true, detail: "", stalled: null } as Partial<Health> as Health;
  await using server = await openHealthServer({ host, port: 0, health: () => health });
  const codeOf = async (name: string): Promise<unknown> =>
    check({ PGNETD_HOST: name, PGNETD_PORT: String(server.port) });
  for (const name of right) expect([name, await codeOf(name)]).toEqual([name, 0]);
  for (const name of wrong) expect([name, await codeOf(name)]).toEqual([name, 1]);
});
