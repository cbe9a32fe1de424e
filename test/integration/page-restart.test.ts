import { expect, test } from "vitest";
import { configFile } from "../support/config-file.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { askPage, watchPage } from "../support/page-client.ts";
import { testDatabase } from "../support/postgres.ts";

test("a restart ends the streams of those who watch where it changes who may, and no others", async () => {
  await using db = await testDatabase();
  await using file = await configFile("rate:\n  perSecond: 100\n");
  await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
  await daemon.live();
  const restarted = async (settings: string, times: number): Promise<void> => {
    await file.write(settings);
    await db.query("select net.worker_restart()");
    const isLive = ({ msg, to }: Readonly<Record<string, unknown>>): boolean => msg === "phase" && to === "live";
    await eventually(() => daemon.events().filter(isLive).length === times, 20_000);
  };
  using watch = await watchPage(daemon.address);
  await restarted("rate:\n  perSecond: 50\n", 2);
  const { length } = watch.text;
  await eventually(() => watch.text.length > length);
  expect(watch.isOpen).toBe(true);
  await restarted("rate:\n  perSecond: 50\npage:\n  readToken: a-token-for-reading-0123\n", 3);
  await eventually(() => !watch.isOpen);
  expect((await askPage(daemon.address, "/page/events")).status).toBe(401);
});
