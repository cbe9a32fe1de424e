import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openLab } from "../support/fuzz-lab.ts";
import { always } from "../support/http-peer.ts";

test("P6: the fuzz run notices a daemon that stands still for a second and is quick again", async () => {
  await using lab = await openLab({ answer: always("ok") });
  lab.daemon.signal("SIGSTOP");
  const checked = lab.check([], 30_000);
  await eventually(async () => (await lab.db.query("select from net.http_request_queue")).length > 0);
  await delay(1_000);
  lab.daemon.signal("SIGCONT");
  const { wrong } = await checked;
  expect(wrong).toMatch(
    /^a healthy host was answered after [1-9]\d{3,} ms \(through an idle daemon: \d+ ms\), then \d+ ms /,
  );
});
