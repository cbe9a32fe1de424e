import { existsSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { codeBlocks, fileLinks, readDocument, ROOT } from "../support/markdown.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const readme = await readDocument("README.md");
const blocks = codeBlocks(readme);
const documents = await Array.fromAsync(glob(["*.md", "docs/**/*.md", "bench/*.md"], { cwd: ROOT }));

describe("the README", () => {
  test("has SQL whose requests arrive and whose answers appear", async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using _daemon = await startDaemon({ databaseUrl: db.url });
    for (const { text } of blocks.filter((block) => block.language === "sql")) {
      await db.query(text.replaceAll("http://receiver:8080", receiver.url("")));
    }
    await receiver.waitFor(2);
    const got = receiver.requests.map((one) => [one.method, one.path, JSON.parse(one.body.toString())] as const);
    expect(got.toSorted((a, b) => JSON.stringify(b).localeCompare(JSON.stringify(a)))).toEqual([
      ["POST", "/orders", { item: "tea", quantity: 2 }],
      ["POST", "/orders", { id: 1, item: "cake", quantity: 1 }],
    ]);
    const answers = await eventually(async () => {
      const rows = await db.query("select status_code, content, timed_out, error_msg from net._http_response");
      return rows.length === 2 && rows;
    });
    const answer = { status_code: 200, content: "ok", timed_out: false, error_msg: null };
    expect(answers).toEqual([answer, answer]);
  });

  test("names only npm scripts that exist", async () => {
    const { scripts } = JSON.parse(await readDocument("package.json")) as { scripts: Record<string, string> };
    const named = Array.from(readme.matchAll(/npm run (?:--silent )?([\w:]+)/g), ([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(0);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
  });

  test.each(documents)("%s links to files that are there", async (document) => {
    const links = fileLinks(await readDocument(document));
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
  });
});
