import { spawn } from "node:child_process";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { COMPILE_CACHE } from "../support/compile-cache.ts";
import { eventually } from "../support/eventually.ts";
import { watchPage } from "../support/page-client.ts";
import { ROOT } from "../support/markdown.ts";

interface RunningDemo extends AsyncDisposable {
  /** Where it puts its files. */
  readonly folder: string;
  output(): string;
  readonly ended: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

async function startDemo(...args: readonly string[]): Promise<RunningDemo> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-demo-test-"));
  // PostgreSQL, under another user where we are root, must get through.
  await chmod(folder, 0o755);
  const child = spawn(process.execPath, [join(ROOT, "demo/main.ts"), ...args], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      TMPDIR: folder,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return {
    folder,
    output: () => output,
    ended,
    signal: (name) => child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The port of the demo's server, from its own page. */
function serverPort(output: string): string {
  return /psql postgresql:\/\/\S+:(\d+)\//.exec(output)?.[1] ?? "";
}

async function listens(port: string): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    (error: unknown) => !JSON.stringify((error as Error).cause ?? {}).includes("ECONNREFUSED"),
  );
}

describe("the demo", () => {
  test("with --once plays one round, shows it, and ends with 0", async () => {
    await using demo = await startDemo("--once");
    const code = await demo.ended;
    const output = demo.output();
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain("create trigger orders_webhook");
    expect(output).toContain("POST /orders");
    expect(output).toContain('"item": "tea"');
    expect(output).toMatch(/\n +2 +200 +\{"received":true\}/);
    expect(output).toMatch(/psql postgresql:\/\//);
    // No escape codes where output is not a terminal.
    expect(output).not.toContain("\u001b");
    expect(await listens(serverPort(output))).toBe(false);
    expect(await readdir(demo.folder)).toEqual([]);
  });

  test("has traffic that its page shows: hosts that answer, fail and are dead, retries and dead letters", async () => {
    await using demo = await startDemo();
    const address = await eventually(() => /page +(http:\S+)\/ /.exec(demo.output())?.[1] ?? false, 60_000);
    using watch = await watchPage(address);
    await eventually(() => {
      const { values } = watch.latest.get("frame") as { values: Record<string, number | Record<string, number>> };
      const { lanes, failures } = watch.latest.get("lists") as Record<string, { lane: string; url: string }[]>;
      expect(values["requests.retried"]).toBeGreaterThan(0);
      expect(values["queue.deadLetters"]).toBeGreaterThan(0);
      expect(values["requests.ended"]).toMatchObject({ connect: expect.any(Number) as number });
      const hosts = [...(lanes ?? []).map(({ lane }) => lane), ...(failures ?? []).map(({ url }) => url)].join(" ");
      for (const host of ["slow", "failing", "dead"]) expect(hosts).toContain(`${host}.localhost`);
      return true;
    }, 60_000);
    // What is sent by hand is not lost among it.
    expect(demo.output()).not.toContain("fast.localhost");
  }, 120_000);

  test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)("leaves nothing behind after %s", async (signal) => {
    await using demo = await startDemo();
    await eventually(() => demo.output().includes("Running until Ctrl-C"), 60_000).catch(() => {
      throw new Error(demo.output());
    });
    const port = serverPort(demo.output());
    expect(await listens(port)).toBe(true);
    demo.signal(signal);
    expect(await demo.ended).toBe(signal === "SIGKILL" ? null : 0);
    await eventually(async () => !(await listens(port)));
    await eventually(async () => (await readdir(demo.folder)).length === 0);
  });
});
