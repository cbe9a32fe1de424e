import { describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { codeBlocks, readDocument, sqlExamples } from "../support/markdown.ts";
import { testDatabase } from "../support/postgres.ts";

describe.each(["docs/sql-api.md", "docs/from-pg_net.md"])("%s", (path) => {
  test("its SQL runs, and fails where it says so", async () => {
    await using db = await testDatabase();
    await migrate(db.url, { webhooks: true });
    const blocks = codeBlocks(await readDocument(path)).filter(({ language }) => language === "sql");
    const all = blocks.flatMap((block) => sqlExamples(block.text));
    expect(all.length).toBeGreaterThan(3);
    const client = await db.pool.connect();
    try {
      for (const { text, sqlstate } of all) {
        const ended = await client.query(text).then(
          () => null,
          (error: unknown) => (error as { code?: string }).code ?? String(error),
        );
        expect({ text, ended }).toEqual({ text, ended: sqlstate });
      }
    } finally {
      client.release();
    }
  });
});
