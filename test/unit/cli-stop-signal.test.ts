import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";

const MODULE = new URL("../../src/cli/stop-signal.ts", import.meta.url).href;

/** A process that takes `stopMs` to stop, and says when it began to. */
async function slowToStop(stopMs: number): Promise<{ readonly child: ChildProcess; readonly output: Readable }> {
  const script = `
    const { stopSignal } = await import(${JSON.stringify(MODULE)});
    setInterval(() => undefined, 1000);
    stopSignal().addEventListener("abort", () => {
      console.log("stopping");
      setTimeout(() => process.exit(0), ${stopMs});
    });
    console.log("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return { child, output: child.stdout };
}

/** Sends SIGINT again and again until the process has ended; returns how it did. */
async function interrupt(child: ChildProcess): Promise<unknown> {
  const exit = once(child, "exit");
  while (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGINT");
    await delay(20);
  }
  return exit;
}

it("takes one Ctrl-C that arrives more than once as one", async () => {
  const { child, output } = await slowToStop(200);
  child.kill("SIGINT");
  await once(output, "data");
  expect(await interrupt(child)).toEqual([0, null]);
});

it.each(["SIGINT", "SIGTERM"] as const)("lets a second Ctrl-C end the process after %s", async (first) => {
  const { child, output } = await slowToStop(60_000);
  child.kill(first);
  await once(output, "data");
  expect(await interrupt(child)).toEqual([null, "SIGINT"]);
});
