import { expect, test } from "vitest";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const COUNT = 20;

test.each([
  ["truncate … restart identity", "truncate net.http_request_queue restart identity"],
  [
    "delete and a sequence set back",
    "delete from net.http_request_queue; alter sequence net.http_request_queue_id_seq restart",
  ],
])(
  "P2: ids given again by %s while the first requests are in flight: the others are sent, too",
  async (_name, restart) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    receiver.behave(({ path }) => ({ kind: "answer", delayMs: path.startsWith("/first") ? 1_500 : 0 }));
    await using _daemon = await startInProcess(db.url);
    await enqueue(db, receiver.url("/first"), COUNT);
    await receiver.waitFor(COUNT);
    const ids = await db.query("select id from net.http_request_queue order by id");
    for (const statement of restart.split("; ")) await db.query(statement);
    await enqueue(db, receiver.url("/second"), COUNT);
    expect(await db.query("select id from net.http_request_queue order by id")).toEqual(ids);
    await emptied(db);

    expect([...receiver.countByPath().values()]).toEqual(Array.from({ length: 2 * COUNT }, () => 1));
    const responses = await db.query("select d.url from net._http_response join net.http_response_detail d using (id)");
    expect(responses.map(({ url }) => url)).toEqual(
      expect.arrayContaining([expect.stringContaining("/second1")] as unknown[]),
    );
    expect(responses).toHaveLength(COUNT);
  },
);
