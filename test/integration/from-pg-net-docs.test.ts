import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pgnetd } from "../support/command.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { type ExtensionDatabase, installPgNet, startPgNetServer } from "../support/extension-server.ts";
import { codeBlocks, readDocument, sqlExamples } from "../support/markdown.ts";
import { emptied } from "../support/outbox.ts";
import { startReceiver } from "../support/receiver.ts";
import { shell } from "../support/shell.ts";

const document = await readDocument("docs/from-pg_net.md");

/** The steps of the move: everything before the differences. */
const steps = document.slice(0, document.indexOf("\n## Function by function"));

/** What a user has on pg_net's tables. */
const APPLICATION = `
  create table log (id bigint);
  create function note() returns trigger language plpgsql security definer set search_path = '' as
    $$ begin insert into public.log values (new.id); return new; end $$;
  create trigger noted after insert on net._http_response for each row execute function note();
  create view failed as select id, error_msg from net._http_response where error_msg is not null;
  create table orders (id int primary key);
  create function notify() returns trigger language plpgsql as
    $$ begin perform net.http_post('https://example.com/orders'); return new; end $$;
  create trigger notify after insert on orders for each row execute function notify()`;

/** What lists triggers and views, before and after. */
function isLook({ text }: { readonly text: string }): boolean {
  return text.includes("pg_get_triggerdef");
}

async function rows(db: ExtensionDatabase, text: string): Promise<readonly unknown[]> {
  const result: unknown[] = [];
  for (const { text: statement, sqlstate } of sqlExamples(text)) {
    expect({ statement, sqlstate }).toEqual({ statement, sqlstate: null });
    result.push(...(await db.query(statement)));
  }
  return result;
}

test("the steps of docs/from-pg_net.md lead from pg_net to pgnetd and back", async () => {
  await using server = await startPgNetServer();
  await using db = await server.database();
  await using receiver = await startReceiver();
  await db.query("create extension pg_net");
  await db.query(APPLICATION);
  const programs = { pg_config: `echo "${join(server.folder, "..")}"` };
  let daemon: Daemon | null = null;
  try {
    let before: readonly unknown[] = [];
    let after: readonly unknown[] = [];
    let noted = 0;
    for (const { language, text } of codeBlocks(steps.replaceAll("https://example.com/", receiver.url("/")))) {
      if (text.includes('"supabase_functions"')) await pgnetd(db.url, "migrate", "--webhooks");
      if (text.includes("pgnetd status")) {
        await db.query("create extension if not exists pg_net");
        daemon = await startDaemon({ databaseUrl: db.url });
        await daemon.live();
      }
      if (text.includes("pgnetd drain")) {
        await emptied(db);
        after = await rows(db, codeBlocks(steps).find(isLook)?.text ?? "");
        noted = (await db.query("select from log")).length;
        await daemon?.stop();
        await db.query("drop view failed; drop table my_table");
      }
      if (language === "sh") await shell(text, db.url, programs);
      if (language !== "sql") continue;
      const seen = await rows(db, text);
      if (isLook({ text })) before = seen;
    }
    expect(before).toHaveLength(2);
    expect(after).toEqual(before);
    expect(noted).toBeGreaterThan(0);
  } finally {
    await daemon?.stop();
  }
  expect((await readdir(server.folder)).filter((name) => name.startsWith("pg_net"))).toEqual([]);
  await installPgNet(server.folder);
  await db.query("create extension pg_net; insert into orders values (1)");
  expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 1 }]);
}, 180_000);
