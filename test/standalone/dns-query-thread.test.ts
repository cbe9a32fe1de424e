import { expect, test } from "vitest";
import { QueryThread } from "../../src/dns/query-thread.ts";
import { startDnsServer } from "../support/dns-server.ts";

test("a thread that ends fails what it was asked, with its error, and the next name has another one", async () => {
  using thread = new QueryThread(["no address"]);
  const noAddress = { code: "ERR_INVALID_IP_ADDRESS" };
  const together = [thread.ask("one.test"), thread.ask("two.test")];
  await Promise.all(together.map((asked) => expect(asked).rejects.toMatchObject(noAddress)));
  await expect(thread.ask("three.test")).rejects.toMatchObject(noAddress);
});

test("what is asked for when it is disposed of ends at once", async () => {
  await using server = await startDnsServer(() => "silence");
  const thread = new QueryThread([server.address]);
  const asked = thread.ask("silent.test");
  thread[Symbol.dispose]();
  expect(await asked).toEqual({ kind: "failed", code: "ECANCELLED" });
});
