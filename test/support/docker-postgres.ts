import type { PostgresMajor } from "./postgres-versions.ts";

const DETECT_MS = 5_000;
const START_MS = 90_000;

/** A PostgreSQL in a container. */
export interface DockerPostgres extends AsyncDisposable {
  readonly url: string;
}

/** Starts the official image through testcontainers; rejects where no Docker answers or the image cannot be had. */
export async function startDockerPostgres(
  major: PostgresMajor,
  settings: Readonly<Record<string, string>>,
): Promise<DockerPostgres> {
  const { getContainerRuntimeClient, getReaper, ImageName } = await import("testcontainers");
  const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
  const client = await within(DETECT_MS, "no answer from Docker", getContainerRuntimeClient());
  // The reaper removes containers of a killed run. Where its image is not there, the run removes its own.
  const reaper = ImageName.fromString(process.env["RYUK_CONTAINER_IMAGE"] ?? "testcontainers/ryuk:0.14.0");
  if (!(await client.image.exists(reaper))) process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true";
  await within(START_MS, "no reaper container", getReaper(client));

  const command = ["postgres"];
  for (const [name, value] of Object.entries(settings)) command.push("-c", `${name}=${value}`);
  const container = await within(
    START_MS,
    `no container of postgres:${major}`,
    new PostgreSqlContainer(`postgres:${major}`)
      .withTmpFs({ "/var/lib/postgresql": "rw,mode=0777" })
      .withEnvironment({ PGDATA: "/var/lib/postgresql/pgnetd", POSTGRES_INITDB_ARGS: "--no-sync" })
      .withCommand(command)
      .start(),
  );
  return {
    url: container.getConnectionUri(),
    async [Symbol.asyncDispose]() {
      await container.stop();
    },
  };
}

/** Rejects with `message` when `promise` takes longer: a daemon that hangs must not hang the tests. */
async function within<T>(ms: number, message: string, promise: Promise<T>): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error(`${message} within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
