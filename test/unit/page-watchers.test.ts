import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { expect, it } from "vitest";
import { Watchers } from "../../src/page/watchers.ts";

it("P5: one who watches and reads nothing is sent nothing more after a mebibyte, and others go on", () => {
  const watchers = new Watchers(() => undefined);
  const stuck = new ServerResponse(new IncomingMessage(new Socket()));
  watchers.add(stuck, {}, { history: "begin" });
  const text = "x".repeat(100_000);
  for (let sent = 0; sent < 100; sent++) watchers.send("frame", text);
  expect(stuck.destroyed).toBe(true);
  expect(stuck.writableLength).toBeLessThan(1024 ** 2 + 2 * text.length);
});

it("an event is one line of JSON, and infinity is text", () => {
  const watchers = new Watchers(() => undefined);
  const sent: unknown[] = [];
  const watcher = new ServerResponse(new IncomingMessage(new Socket()));
  watcher.write = (chunk: unknown) => sent.push(chunk) > 0;
  watchers.add(watcher, {}, {});
  watchers.send("frame", { text: "two\nlines", limit: Infinity });
  expect(sent.at(-1)).toBe('event: frame\ndata: {"text":"two\\nlines","limit":"Infinity"}\n\n');
});
