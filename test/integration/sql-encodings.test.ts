import pg from "pg";
import { describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { databaseUrl, testDatabase } from "../support/postgres.ts";

/** Migrates a new database made with `options`, runs `text` in it and returns the outbox. */
async function inDatabase(options: string, text: string): Promise<Record<string, unknown>[]> {
  await using db = await testDatabase({ migrated: false });
  const name = `${db.name}_other`;
  await db.query(`create database ${name} template template0 ${options}`);
  try {
    const url = databaseUrl(db.url, name);
    await migrate(url);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(text);
      const { rows } = await client.query<Record<string, unknown>>(
        "select method::text, url, headers, encode(body, 'hex') as body from net.http_request_queue order by id",
      );
      return rows;
    } finally {
      await client.end();
    }
  } finally {
    await db.query(`drop database ${name} with (force)`);
  }
}

describe("what is sent is UTF-8", () => {
  test.each(["LATIN1", "SQL_ASCII", "UTF8"])("from a database in %s", async (encoding) => {
    const rows = await inDatabase(
      `encoding '${encoding}' lc_collate 'C' lc_ctype 'C'`,
      `select net.http_post('http://h/', '{"a": "ü"}', '{"é": "ü x"}')`,
    );
    expect(rows).toMatchObject([
      { url: "http://h/?%c3%a9=%c3%bc%20x", body: Buffer.from('{"a": "ü"}').toString("hex") },
    ]);
  });
});

test("the letter i does no harm under a Turkish collation", async () => {
  await using db = await testDatabase({ migrated: false });
  const [version] = await db.query<{ n: number }>("select current_setting('server_version_num')::int as n");
  // Since PostgreSQL 15 a database can have an ICU collation as its default.
  const options = (version?.n ?? 0) >= 150_000 ? "locale_provider icu icu_locale 'tr-TR'" : "";
  const rows = await inDatabase(
    options,
    `select net.http_post('http://h/', headers := '{"CONTENT-TYPE": "APPLICATION/JSON"}');
    select net.http_request('delete', 'HTTPS://h/', 'x', headers := '{"CONTENT-TYPE": "TEXT/PLAIN"}');
    insert into net.http_request_queue (method, url, timeout_milliseconds) values ('delete', 'http://h/', 1)`,
  );
  expect(rows).toMatchObject([
    { method: "POST", headers: { "CONTENT-TYPE": "APPLICATION/JSON" } },
    { method: "DELETE", headers: { "CONTENT-TYPE": "TEXT/PLAIN" } },
    { method: "delete" },
  ]);
});
