import { expect, test } from "vitest";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { emptied } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

/** What any role may insert and nothing can send, with a part of what its response says. */
const POISON: readonly (readonly [url: string, headers: string, body: string, rest: string, says: RegExp])[] = [
  ["http://x/deep", `{"a": ${"[".repeat(5_000)}${"]".repeat(5_000)}}`, "null", "1, null, null", /resolve|Timeout/],
  ["http://x/array", "[1, 2]", "null", "1, null, null", /cannot be sent/],
  ["http://x/large", "{}", "convert_to(repeat('x', 68000000), 'UTF8')", "1, null, null", /too large|at most|larger/],
  ["not a url", "{}", "null", "1, null, null", /./],
  ["http://x/options", "{}", "null", `1, '{"max_attempts": "many"}', null`, /cannot be sent/],
  ["http://x/header", '{"a b": "c"}', "null", "1, null, null", /./],
  ["http://x/header", '{"a": "b\\\\nc"}', "null", "1, null, null", /./],
];

test("P2 P9: rows that cannot be sent end as errors, streamed or swept, and are in nobody's way", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const insertAll = async (way: string): Promise<void> => {
    for (const [index, [url, headers, body, rest]] of POISON.entries()) {
      await db.query(
        `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, options, next_attempt_at)
        values ('POST', $1, $2, ${body}, ${rest})`,
        [url, headers.replaceAll("\\\\", "\\")],
      );
      await db.query("select net.http_post($1)", [receiver.url(`/${way}${index}`)]);
    }
  };
  // Waits for ever, and so is still there at the end.
  await db.query(
    `insert into net.http_request_queue (method, url, headers, timeout_milliseconds, next_attempt_at)
    values ('GET', 'http://x/never', '{}', 1, 'infinity')`,
  );
  await insertAll("swept");
  await using daemon = await startInProcess(db.url);
  await emptied({
    query: async () => db.query("select from net.http_request_queue where url <> 'http://x/never'") as never,
  });
  await insertAll("streamed");
  await emptied({
    query: async () => db.query("select from net.http_request_queue where url <> 'http://x/never'") as never,
  });

  const answers = await db.query<{ url: string; error_msg: string | null }>(
    "select d.url, r.error_msg from net._http_response r join net.http_response_detail d using (id) where r.error_msg is not null order by r.id",
  );
  const expected = [...POISON, ...POISON];
  expect(answers.map(({ url }) => url)).toEqual(expected.map(([url]) => url));
  for (const [index, { error_msg }] of answers.entries()) expect(error_msg).toMatch(expected[index]?.[4] ?? /never/);
  expect(receiver.requests).toHaveLength(expected.length);
  expect(daemon.lines.filter((line) => JSON.stringify(line).includes("could not be read"))).toEqual([]);
  const counts = await countFault(db, receiver, 2 * expected.length + 1);
  reportFault(counts, "half of them cannot be sent, one waits for ever");
  expect(counts).toMatchObject({ answered: 2 * expected.length, lost: 0, repeated: 0 });
});

test("P2: what a database sets for its own applications is no matter here", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const settings = [
    "statement_timeout = '10ms'",
    "lock_timeout = '1ms'",
    "idle_session_timeout = '1s'",
    "default_transaction_isolation = 'serializable'",
    "datestyle = 'SQL, DMY'",
    "bytea_output = 'escape'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'Pacific/Chatham'",
    "search_path = 'nowhere'",
    "standard_conforming_strings = off",
    "extra_float_digits = 0",
  ];
  for (const setting of settings) await db.query(`alter database ${db.name} set ${setting}`);
  await db.query("set statement_timeout = 0");
  await using daemon = await startInProcess(db.url);
  for (let one = 1; one <= 3; one++) {
    await db.query("select net.http_request('POST', $1, '\\x00ff5c'::bytea, delay := '50 milliseconds')", [
      receiver.url(`/later${one}`),
    ]);
    await db.query("select net.http_request('POST', $1, '\\x00ff5c'::bytea)", [receiver.url(`/now${one}`)]);
  }
  await receiver.waitFor(6);
  await emptied(db);
  expect(receiver.requests.map(({ body }) => body.toString("hex"))).toEqual(Array.from({ length: 6 }, () => "00ff5c"));
  expect(daemon.lines.filter(({ to }) => to === "not-leading")).toEqual([]);
  await expectExactlyOnce(db, receiver, 6);
});
