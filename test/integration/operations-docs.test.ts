import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { codeBlocks, readDocument, ROOT, sqlExamples } from "../support/markdown.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { shell } from "../support/shell.ts";

const document = await readDocument("docs/operations.md");
const blocks = codeBlocks(document);
const only = (language: string): string => blocks.find((block) => block.language === language)?.text ?? "";

/** The document's SQL with names of this test: roles and databases belong to the whole server. */
function named(sql: string, db: TestDatabase): string {
  return sql.replaceAll("pgnetd_daemon", `${db.name}_daemon`).replaceAll("my_database", db.name);
}

async function sql(block: string, db: TestDatabase): Promise<void> {
  const client = await db.pool.connect();
  try {
    for (const { text, sqlstate } of sqlExamples(named(block, db))) {
      const ended = await client.query(text).then(
        () => null,
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      );
      expect({ text, ended }).toEqual({ text, ended: sqlstate });
    }
  } finally {
    client.release();
  }
}

async function dropRole(db: TestDatabase): Promise<void> {
  const made = await db.query("select from pg_roles where rolname = $1", [`${db.name}_daemon`]);
  if (made.length === 0) return;
  await db.query(`drop owned by ${db.name}_daemon`);
  await db.query(`drop role ${db.name}_daemon`);
}

describe("docs/operations.md", () => {
  test("its SQL and its commands run from top to bottom", async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    let daemon: Daemon | null = await startDaemon({ databaseUrl: db.url });
    const printed: string[] = [];
    try {
      await daemon.live();
      await db.query("select net.http_get($1)", [receiver.url("/answered")]);
      await db.query(
        `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts)
         values (-1, 'GET', $1, 5000, now(), 3)`,
        [receiver.url("/replayed")],
      );
      await receiver.waitFor(1);
      for (const { language, text } of blocks) {
        if (language === "sql") await sql(text, db);
        if (language !== "sh") continue;
        // As the document says: the daemon is stopped before a drain.
        if (text.includes("drain")) {
          await daemon?.stop();
          daemon = null;
        }
        printed.push(await shell(text.replaceAll("http://127.0.0.1:8080", receiver.url("")), db.url));
      }
      expect(receiver.countByPath()).toEqual(
        new Map([
          ["/answered", 1],
          ["/replayed", 1],
          ["/try", 1],
        ]),
      );
      expect(printed.at(-1)).toContain("schema net is dropped");
    } finally {
      await daemon?.stop();
      await dropRole(db);
    }
  }, 180_000);

  test("the rights it names are enough to migrate, run and uninstall", async () => {
    await using db = await testDatabase({ migrated: false });
    await using receiver = await startReceiver();
    const rights = blocks.find(({ text }) => text.includes("create role pgnetd_daemon"))?.text ?? "";
    await sql(rights, db);
    try {
      const url = new URL(db.url);
      url.username = `${db.name}_daemon`;
      url.password = "change me";
      expect(await shell("pgnetd migrate", url.href)).toContain("schema installed");
      {
        await using daemon = await startDaemon({ databaseUrl: url.href });
        await eventually(async () => {
          const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { state: string };
          return health.state === "live";
        });
        await db.query("select net.http_get($1)", [receiver.url("/")]);
        await receiver.waitFor(1);
      }
      expect(await shell("pgnetd uninstall --yes", url.href)).toContain("schema net is dropped");
    } finally {
      await dropRole(db);
    }
  }, 180_000);

  test("it shows what pgnetd status prints and what /readyz answers", async () => {
    await using db = await testDatabase();
    await db.query("select net.http_request('GET', 'https://example.com', delay := '1 hour')");
    await using daemon = await startDaemon({ databaseUrl: db.url });
    // Until then its slot may wait for transactions of other tests.
    await daemon.live();
    const status = await shell(only("sh"), db.url);
    const names = (text: string): readonly string[] => text.split("\n").map((line) => line.slice(0, 14).trim());
    expect(names(status)).toEqual(names(only("text")));
    const shape = (value: unknown): unknown =>
      typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
        : null;
    // The first request makes the daemon read the database, a later one shows the result.
    const health = await eventually(async () => {
      const now = (await (await fetch(`${daemon.address}/readyz`)).json()) as { slot: string; oldest: unknown };
      return now.oldest !== null && now;
    });
    expect(shape(health)).toEqual(shape(JSON.parse(only("json"))));
  });

  test("the log lines it explains are those that are written", async () => {
    const source: string[] = [];
    for await (const file of glob("src/**/*.ts", { cwd: ROOT })) source.push(await readFile(join(ROOT, file), "utf8"));
    const lines = Array.from(
      document.matchAll(/^\| `([^`]+)`[^|]*\| (?:info|warn|error) \|/gm),
      ([, line = ""]) => line,
    );
    expect(lines.length).toBeGreaterThan(8);
    expect(lines.filter((line) => !source.join("\n").includes(`"${line}"`))).toEqual([]);
  });
});
