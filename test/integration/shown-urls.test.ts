import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { LARGEST_URL_BYTES } from "../../src/outbox/row.ts";
import { shownUrl } from "../../src/results/shown-url.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const URLS: readonly (readonly [url: string, shown: string])[] = [
  ["https://example.com", "https://example.com"],
  ["https://example.com/a/b", "https://example.com/a/b"],
  ["https://example.com/@user/1", "https://example.com/@user/1"],
  ["https://user:secret@example.com/a", "https://example.com/a"],
  ["https://user:sec@ret@example.com", "https://example.com"],
  ["https://secret@example.com:8443?x=@", "https://example.com:8443?***"],
  ["http:/user:secret@example.com/", "http:/example.com/"],
  ["http:\\\\user:secret@example.com\\a", "http:\\\\example.com\\a"],
  ["https://example.com/?key=secret&name=&b=2", "https://example.com/?***"],
  ["https://example.com/a?secret", "https://example.com/a?***"],
  ["https://example.com/a?secret&secret=a=b?c", "https://example.com/a?***"],
  ["https://example.com/a#secret", "https://example.com/a"],
  ["https://example.com/a?b=secret#secret?c=secret", "https://example.com/a?***"],
  ["https://[::1]:80/?a=secret", "https://[::1]:80/?***"],
  ["no url at all", "no url at all"],
  ["", ""],
];

/** The last five are too large to be sent. */
const LONG: typeof URLS = [
  ["https://example.com/".padEnd(LARGEST_URL_BYTES, "a"), "https://example.com/".padEnd(LARGEST_URL_BYTES, "a")],
  [`https://a:b@example.com/${"a".repeat(LARGEST_URL_BYTES)}`, `https://example.com/${"a".repeat(2_024)}`],
  [`https://a:b@example.com?${"secret".repeat(LARGEST_URL_BYTES)}`, "https://example.com?***"],
  [`https://example.com/#${"secret".repeat(LARGEST_URL_BYTES)}`, "https://example.com/"],
  [`https://${"secret".repeat(LARGEST_URL_BYTES)}@example.com/`, ""],
  ["secret".repeat(LARGEST_URL_BYTES), ""],
];

test("a url is shown without user, password, query and fragment", async () => {
  await using db = await testDatabase({ migrated: false });
  const rows = await db.query<{ shown: string }>(
    `select ${shownUrl("url")} as shown from unnest($1::text[]) with ordinality as one (url, n) order by n`,
    [[...URLS, ...LONG].map(([url]) => url)],
  );
  expect(rows.map(({ shown }) => shown)).toEqual([...URLS, ...LONG].map(([, shown]) => shown));
});

test("P11: no role reads a secret of a url where requests have ended", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const role = `${db.name}_reader`;
  await db.query(`create role ${role}`);
  try {
    const url = `${receiver.url("/a?key=secret")}#x`.replace("//", "//user:secret@");
    {
      await using _daemon = await startInProcess(db.url);
      await db.query("select net.http_get($1)", [url]);
      await db.query(
        "select net.http_request('GET', 'http://user:secret@127.0.0.1:1/?key=secret', max_attempts := 2, retry_first_ms := 1)",
      );
      await emptied(db);
    }
    const client = await db.pool.connect();
    try {
      await client.query(`set role ${role}`);
      const { rows } = await client.query<Record<string, unknown>>("select * from net.http_response_detail");
      expect(rows.map((row) => row["url"])).toEqual([receiver.url("/a?***")]);
      expect(
        (await client.query("select id, method, attempts, error_code, error_msg from net.http_dead_letter")).rows,
      ).toHaveLength(1);
      await expect(client.query("select url from net.http_dead_letter")).rejects.toMatchObject({ code: "42501" });
    } finally {
      await client.query("reset role");
      client.release();
    }
    expect(JSON.stringify(await db.query("select * from net.http_response_detail"))).not.toContain("secret");
    const [letter] = await db.query<{ url: string; error_msg: string }>(
      "select url, error_msg from net.http_dead_letter",
    );
    expect(letter?.url).toContain("secret");
    expect(letter?.error_msg).not.toContain("secret");
  } finally {
    await db.query(`drop role ${role}`);
  }
});

test("urls that were stored before are shown so after the upgrade", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: 6 });
  await db.query(
    `insert into net.http_response_detail (id, method, url, attempts, enqueued)
    select n, 'GET', url, 1, now() from unnest($1::text[]) with ordinality as one (url, n)`,
    [URLS.map(([url]) => url)],
  );
  await migrate(db.url);
  expect(await db.query("select url as shown from net.http_response_detail order by id")).toEqual(
    URLS.map(([, shown]) => ({ shown })),
  );
});
