import { expect, test } from "vitest";
import { runCommandLine } from "../support/command.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("send puts a request through the queue and prints the answer", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  const url = receiver.url("/orders");
  const posted = await runCommandLine(
    db.url,
    "send",
    url,
    "-d",
    '{"a":1}',
    "-H",
    "Content-Type: application/json",
    "-H",
    "X-A: b: c",
    "-i",
  );
  expect(posted.failure).toBeNull();
  expect(posted.lines[0]).toBe("HTTP 200");
  expect(posted.lines.slice(-2)).toEqual(["", "ok"]);
  const [request] = receiver.requests;
  expect(request).toMatchObject({ method: "POST", path: "/orders" });
  expect(request?.body.toString()).toBe('{"a":1}');
  expect(request?.headers).toMatchObject({ "content-type": "application/json", "x-a": "b: c" });
  expect(await runCommandLine(db.url, "send", url)).toEqual({ lines: ["ok"], failure: null });
  const { lines } = await runCommandLine(db.url, "send", url, "-X", "DELETE", "--json");
  expect(JSON.parse(lines.join("\n"))).toMatchObject({ status: 200, content: "ok", error: null, attempts: 1 });
  expect(receiver.requests.map(({ method }) => method)).toEqual(["POST", "GET", "DELETE"]);
});

test("send fails for an answer of 400 or more, for no answer, and where there is no result in time", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const url = receiver.url("/orders");
  const waits = await runCommandLine(db.url, "send", url, "--wait", "0");
  expect(waits.failure).toMatchObject({
    code: "NOT_DONE",
    exitCode: 75,
    message: expect.stringMatching(/^request \d+ has no result yet: no pgnetd leads this database/) as unknown,
    hint: expect.stringMatching(
      /Start one: pgnetd run\..* To cancel it: delete from net\.http_request_queue where id = \d+ and created = '[^']+';$/,
    ) as unknown,
  });
  await db.query("truncate net.http_request_queue");
  await using _daemon = await startInProcess(db.url);
  receiver.behave({ kind: "answer", status: 503, body: "busy" });
  const refused = await runCommandLine(db.url, "send", url);
  expect(refused.lines).toEqual(["busy"]);
  expect(refused.failure).toMatchObject({
    code: "REQUEST_FAILED",
    exitCode: 1,
    message: expect.stringMatching(/ended with status 503$/) as unknown,
  });
  const nobody = await runCommandLine(db.url, "send", "http://127.0.0.1:1/");
  expect(nobody).toMatchObject({
    lines: [],
    failure: { exitCode: 1, message: expect.stringMatching(/ended with no answer \(connect\): /) as unknown },
  });
});

test("send prints the answer of its own request where an older one had the same id", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave(({ path }) => ({ kind: "answer", body: path.slice(1) }));
  await using _daemon = await startInProcess(db.url);
  expect((await runCommandLine(db.url, "send", receiver.url("/first"))).lines).toEqual(["first"]);
  await db.query("alter sequence net.http_request_queue_id_seq restart");
  expect((await runCommandLine(db.url, "send", receiver.url("/second"))).lines).toEqual(["second"]);
  expect(
    await db.query("select count(*)::int as results, count(distinct id)::int as ids from net._http_response"),
  ).toEqual([{ results: 2, ids: 1 }]);
});

test("send refuses what cannot be a request, and enqueues nothing", async () => {
  await using db = await testDatabase();
  expect((await runCommandLine(db.url, "send", "http://h/", "-H", "nonsense")).failure).toMatchObject({
    code: "USAGE",
  });
  for (const url of ["", "no url", "ftp://h/"]) {
    expect((await runCommandLine(db.url, "send", url)).failure).toMatchObject({ code: "USAGE" });
  }
  expect(await db.query("select from net.http_request_queue")).toEqual([]);
});

test.each(["http://h/a b?token=hidden", "ftp://h/?token=hidden", "http://u:hidden@h h/"])(
  "P11: send refuses %s without what is secret in it",
  async (url) => {
    await using db = await testDatabase();
    const { failure } = await runCommandLine(db.url, "send", url);
    expect(failure).toMatchObject({ code: "USAGE", message: expect.not.stringContaining("hidden") as unknown });
  },
);
