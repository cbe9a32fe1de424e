import { rename, rm } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { runProgram } from "../../demo/postgres-binaries.ts";
import { eventually } from "../support/eventually.ts";
import { expectExactlyOnce } from "../support/fault-report.ts";
import { type FaultServer, startFaultServer } from "../support/fault-server.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startReceiver } from "../support/receiver.ts";

/** Copies the files of the stopped server; what is returned puts them in the place of its own. */
async function copyFiles({ server }: FaultServer): Promise<() => Promise<void>> {
  const copy = `${server.dataFolder}-copy`;
  onTestFinished(() => rm(copy, { recursive: true, force: true }));
  await runProgram("cp", ["-a", server.dataFolder, copy], { cwd: "/" });
  return async () => {
    await rm(server.dataFolder, { recursive: true });
    await rename(copy, server.dataFolder);
  };
}

test("P2 P3: an earlier copy of the server's files put in their place, under a running daemon: what comes from then on is sent at once, and once", async () => {
  await using db = await startFaultServer();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await enqueue(db, receiver.url("/kept"), 20);
  await emptied(db);
  await db.server.stop("fast");
  const putBack = await copyFiles(db);
  await db.server.start();
  await enqueue(db, receiver.url("/undone"), 20);
  await emptied(db);
  // Far enough for what comes after to have positions that were received before.
  await db.query("create table public.other as select repeat('x', 1000) from generate_series(1, 10000)");
  receiver.behave({ kind: "hang" });
  await enqueue(db, receiver.url("/under-way"), 1);
  await receiver.waitFor(41);

  await db.server.stop("immediate");
  await putBack();
  await db.server.start();
  receiver.behave({ kind: "answer" });
  await eventually(async () => {
    const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { state: string; lanesBehind: unknown };
    return health.state === "live" && health.lanesBehind === 0;
  });
  for (let request = 1; request <= 20; request++) {
    const sent = receiver.requests.length;
    await enqueue(db, receiver.url(`/new${request}-`), 1);
    await receiver.waitFor(sent + 1, 2_000);
  }
  await emptied(db);

  const undone = receiver.requests.filter(({ path }) => /^\/(?:undone|under-way)/.test(path));
  expect(new Set(undone.map(({ path }) => path)).size).toBe(undone.length);
  const requests = receiver.requests.filter((request) => !undone.includes(request));
  const countByPath = (): ReadonlyMap<string, number> => new Map(requests.map(({ path }) => [path, 1]));
  await expectExactlyOnce(db, { requests, countByPath }, 40);
});
