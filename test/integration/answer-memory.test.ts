import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type HttpPeer, httpPeer } from "../support/http-peer.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { forgetPeak, peakMb } from "../support/resident.ts";
import { session } from "../support/result-writer.ts";
import { scrape } from "../support/scrape.ts";

const MB = 1024 * 1024;
const SLOW = 180_000;

function answerMemory(bytes: string): Readonly<Record<string, string>> {
  return { PGNETD_ANSWER_MEMORY_BYTES: bytes };
}

interface SetUp extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly daemon: Daemon;
  /** Megabytes that the daemon had resident at most, beyond what it had before. */
  grownMb(): Promise<number>;
}

/** A daemon that has sent a first request; what it needs for that is not counted. */
async function setUp(env: Readonly<Record<string, string>> = {}): Promise<SetUp> {
  const stack = new AsyncDisposableStack();
  const db = stack.use(await testDatabase());
  const all = { PGNETD_RATE_PER_SECOND: "unlimited", PGNETD_GRACE_MS: "0", ...env };
  const daemon = stack.use(await startDaemon({ databaseUrl: db.url, env: all }));
  await daemon.live();
  const receiver = stack.use(await startReceiver());
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 200) g", [receiver.url("/warm-")]);
  await emptied(db);
  const before = await forgetPeak(daemon.pid);
  return {
    db,
    daemon,
    grownMb: async () => (await peakMb(daemon.pid)) - before,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Larger than what each answer may take without asking. */
const LARGER = Buffer.alloc(64 * 1024, "x");

/** Another hundred requests to `good`, and their answers are stored, whatever else goes on. */
async function expectServed({ db }: SetUp, good: Receiver, phase: string): Promise<void> {
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 100) g", [good.url(`/${phase}-`)]);
  const stored = `select from net._http_response as response join net.http_response_detail as detail using (id)
    where detail.url like $1 and length(response.content) = $2`;
  await eventually(async () => (await db.query(stored, [good.url(`/${phase}-%`), LARGER.length])).length === 100);
}

/** Answers each request with `bytes` bytes, each in a chunk of its own. */
function inOneByteChunks(bytes: number): Promise<HttpPeer> {
  const many = Buffer.from("1\r\nx\r\n".repeat(10_000));
  const send = (socket: Socket, left: number): void => {
    if (left === 0) socket.write("0\r\n\r\n");
    else if (socket.write(many.subarray(0, 6 * Math.min(left, 10_000))))
      setImmediate(send, socket, Math.max(0, left - 10_000));
    else socket.once("drain", () => send(socket, Math.max(0, left - 10_000)));
  };
  return httpPeer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
    send(socket, bytes);
  });
}

test(
  "P5: answers in one-byte chunks take what they bring, and not the buffers that they came in",
  { timeout: SLOW },
  async () => {
    await using t = await setUp();
    await using peer = await inOneByteChunks(3 * MB);
    await t.db.query("select net.http_get($1, timeout_milliseconds := 80000) from generate_series(1, 2)", [
      `http://127.0.0.1:${peer.port}/`,
    ]);
    await emptied(t.db);
    const rows = await t.db.query("select distinct length(content), error_msg from net._http_response where id > 200");
    expect(rows).toEqual([{ length: 3 * MB, error_msg: null }]);
    expect(await t.grownMb()).toBeLessThan(150);
  },
);

test(
  "P5: answers that decode to much more than they bring are decoded as there is memory for them, and all come to their end",
  { timeout: SLOW },
  async () => {
    await using t = await setUp({ PGNETD_MAX_RESPONSE_BYTES: "4MiB", ...answerMemory("20MiB") });
    await using receiver = await startReceiver({ host: "0.0.0.0" });
    const body = gzipSync(Buffer.alloc(4 * MB, "x"));
    receiver.behave({ kind: "answer", headers: { "Content-Encoding": "gzip" }, body });
    await t.db.query("select net.http_get('http://127.0.0.' || 2 + g % 8 || ':' || $1) from generate_series(1, 40) g", [
      receiver.port,
    ]);
    await emptied(t.db);
    const rows = await t.db.query(
      "select length(content), error_msg, count(*)::int from net._http_response where id > 200 group by 1, 2",
    );
    expect(rows).toEqual([{ length: 4 * MB, error_msg: null, count: 40 }]);
    expect(await t.grownMb()).toBeLessThan(150);
  },
);

test(
  "P6: a host whose answers fill its share of the memory is held back, others go on, and the log says so",
  { timeout: SLOW },
  async () => {
    await using t = await setUp({
      PGNETD_MAX_RESPONSE_BYTES: "4MiB",
      PGNETD_HOST_CONCURRENCY: "24",
      ...answerMemory("20MiB"),
    });
    await using good = await startReceiver();
    good.behave({ kind: "answer", body: LARGER });
    const rest = Promise.withResolvers<undefined>();
    await using hog = await httpPeer(
      (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${4 * MB}\r\n\r\n`);
        socket.write(Buffer.alloc(4 * MB - 1));
        void rest.promise.then(() => socket.write(Buffer.alloc(1)));
      },
      { host: "127.0.0.2" },
    );
    const told = (message: string): readonly unknown[] =>
      t.daemon.events().flatMap((line) => (line["msg"] === message ? [line["host"]] : []));
    const HELD = "no request to this host starts: its answers fill its share of memory";

    let asked = 0;
    const ask = async (count: number): Promise<void> => {
      asked += count;
      await t.db.query(
        "select net.http_get('http://127.0.0.2:' || $1 || '/', timeout_milliseconds := 80000) from generate_series(1, $2::int)",
        [hog.port, count],
      );
    };
    await ask(10);
    await eventually(async () => (await scrape(t.daemon.address)).value("pgnetd_answer_memory_bytes") > 4 * MB);
    await eventually(async () => {
      await ask(1);
      return told(HELD).length > 0;
    });
    const started = hog.received.length;
    await ask(20);
    await expectServed(t, good, "beside");
    expect(hog.received).toHaveLength(started);
    expect(await t.db.query("select from net.http_request_queue")).toHaveLength(asked);
    rest.resolve(undefined);
    await emptied(t.db);
    const rows = await t.db.query(
      `select content, length(content_bytes), error_msg, count(*)::int from net._http_response
       join net.http_response_detail as detail using (id) where detail.url like '%127.0.0.2%' group by 1, 2, 3`,
    );
    expect(rows).toEqual([{ content: null, length: 4 * MB, error_msg: null, count: asked }]);
    expect(await t.grownMb()).toBeLessThan(200);
    await eventually(() => told("requests to this host start again").length > 0);
    expect(told(HELD)).toEqual(["127.0.0.2"]);
  },
);

test(
  "P6: rows with large answers that a caller has locked hold up nobody, and are stored when the lock ends",
  { timeout: SLOW },
  async () => {
    await using t = await setUp();
    await using good = await startReceiver();
    await using hog = await startReceiver({ host: "127.0.0.2" });
    await using caller = await session(t.db);
    good.behave({ kind: "answer", body: LARGER });
    const locked = Promise.withResolvers<undefined>();
    hog.behave({ kind: "answer", body: Buffer.alloc(9 * MB, "x"), after: locked.promise });
    await t.db.query("select net.http_get($1 || g, timeout_milliseconds := 80000) from generate_series(1, 8) g", [
      hog.url("/"),
    ]);
    await hog.waitFor(8);
    await caller.query("begin; select from net.http_request_queue where url like '%127.0.0.2%' for update");
    locked.resolve(undefined);
    // One of them is whole; the others are, too, or wait for memory.
    await eventually(async () => (await scrape(t.daemon.address)).value("pgnetd_answer_memory_bytes") > 9 * MB);
    for (const phase of ["first", "second", "third"]) await expectServed(t, good, phase);
    expect((await t.db.query("select from net.http_request_queue")).length).toBe(8);
    await caller.query("commit");
    await emptied(t.db);
    const rows = await t.db.query(
      `select length(content), error_msg, count(*)::int from net._http_response
       join net.http_response_detail as detail using (id) where detail.url like '%127.0.0.2%' group by 1, 2`,
    );
    expect(rows).toEqual([{ length: 9 * MB, error_msg: null, count: 8 }]);
  },
);
