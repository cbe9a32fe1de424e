import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { COMPILE_CACHE } from "../support/compile-cache.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly error: string;
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const all = { PATH: process.env["PATH"], NODE_COMPILE_CACHE: COMPILE_CACHE, ...env };
  const child = spawn(process.execPath, [MAIN, ...args], { env: all });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function ended(child: ChildProcess): Promise<Result> {
  const text = { out: "", error: "" };
  child.stdout?.on("data", (chunk: Buffer) => (text.out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (text.error += chunk.toString()));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, ...text };
}

/** A `pgnetd receiver` that listens at `address`; it ends as any command does. */
async function listening(): Promise<{ readonly child: ChildProcess; readonly address: string }> {
  const child = start(["receiver", "--port", "0"]);
  const [chunk] = (await once(child.stdout as Readable, "data")) as [Buffer];
  return { child, address: /http:\S+/.exec(chunk.toString())?.[0] ?? "" };
}

it("prints its version and exits 0", async () => {
  const { code, out, error } = await ended(start(["--version"]));
  expect([code, error]).toEqual([0, ""]);
  expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it("exits 64 on a wrong command, with what to do and without a stack", async () => {
  const { code, out, error } = await ended(start(["rnu"]));
  expect([code, out]).toEqual([64, ""]);
  expect(error).toBe("pgnetd: unknown command 'rnu'; did you mean run?\nhint: See pgnetd --help.\n");
});

it("P11: exits 78 on a wrong setting; a stack is shown at debug level, the password is not", async () => {
  const env = { DATABASE_URL: "postgres://app:hunter2@h:port/d", PGNETD_LOG_LEVEL: "debug" };
  const { code, error } = await ended(start(["run"], env));
  expect(code).toBe(78);
  expect(error).toContain("database.url (DATABASE_URL) must be a URL");
  expect(error).toMatch(/\n {4}at /);
  expect(error).not.toContain("hunter2");
});

it("exits 69 when the database is not there", async () => {
  const { code, error } = await ended(start(["migrate"], { DATABASE_URL: "postgres://app@127.0.0.1:1/app" }));
  expect(code).toBe(69);
  expect(error).toContain("hint: Check that Postgres is up");
});

it("prints the effective settings", async () => {
  const { code, out } = await ended(
    start(["config"], { DATABASE_URL: "postgres://app:hunter2@h/d", PGNETD_PORT: "1" }),
  );
  expect(code).toBe(0);
  expect(out).toMatch(/^database:\n {2}url: postgres:\/\/app:\*\*\*@h\/d +# DATABASE_URL\n/);
  expect(out).toMatch(/^ {2}port: 1 +# PGNETD_PORT$/m);
});

it.each(["SIGINT", "SIGTERM"] as const)("stops on %s and exits 0", async (signal) => {
  const { child } = await listening();
  const result = ended(child);
  child.kill(signal);
  expect(await result).toMatchObject({ code: 0, signal: null, error: "" });
});

it("ends as stopped when the reader of its output has gone", async () => {
  const { child, address } = await listening();
  child.stdout?.destroy();
  const result = ended(child);
  await (await fetch(address)).body?.cancel();
  expect(await result).toMatchObject({ code: 0, signal: null, error: "" });
});
