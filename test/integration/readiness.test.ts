import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("a leader whose sweeps fail several times in a row is not ready, says why, logs it once, and is ready again", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  const ready = async (): Promise<readonly [status: number, detail: string]> => {
    const response = await fetch(`${daemon.address}/readyz`);
    return [response.status, ((await response.json()) as { readonly detail: string }).detail];
  };
  expect((await ready())[0]).toBe(200);
  await db.query("alter table net.http_request_queue rename column options to choices");
  await db.query("select net.wake()");
  const detail = await eventually(async () => {
    const [status, why] = await ready();
    return status === 503 && why;
  });
  expect(detail).toMatch(
    /^leading, but the outbox could not be read \d+ times in a row: column .*options.* \(42703\)$/,
  );
  expect((await fetch(`${daemon.address}/healthz`)).status).toBe(200);

  await db.query("alter table net.http_request_queue rename column choices to options");
  await eventually(async () => (await ready())[0] === 200);
  await db.query("select net.http_get($1)", [receiver.url("/after")]);
  await emptied(db);
  const said = daemon.lines.filter(({ message }) => /^the outbox (could not be|is) read/.test(String(message)));
  expect(said.map(({ message, code }) => [message, code])).toEqual([
    ["the outbox could not be read; trying again", "42703"],
    ["the outbox is read again", undefined],
  ]);
});
