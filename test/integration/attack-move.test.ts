import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { pgnetd, runCommandLine } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import { type ExtensionDatabase, type ExtensionServer, startPgNetServer } from "../support/extension-server.ts";

let server: ExtensionServer;
beforeAll(async () => {
  server = await startPgNetServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

test("what --dry-run prints is SQL of the move alone, whatever the names of what others made: they begin no line", async () => {
  await using db = await server.database();
  const mallory = `mallory_${randomUUID().slice(0, 8)}`;
  const name = (end: string): string => `"x\r\nalter role ${mallory} superuser; ${end}\n--"`;
  await db.query(`create extension pg_net; create role ${mallory}; create role ${name("role")}; create schema lair;
    grant usage, create on schema lair to ${mallory};
    grant references on net._http_response to ${name("role")}; set role ${mallory};
    create view lair.${name("view")} as select id from net._http_response;
    create materialized view lair.${name("rows")} as select id from net._http_response;
    create function lair.${name("call")}() returns net.http_response language sql as 'select null::net.http_response';
    create table lair.${name("table")} (method net.http_method);
    create function lair.${name("use")}() returns void language sql as 'select net.http_get(null)'; reset role`);
  try {
    const printed = await pgnetd(db.url, "migrate", "--from-pg-net", "--dry-run");
    expect(printed.filter((line) => line.startsWith("--") && /[\r\n]/.test(line))).toEqual([]);
    const named = printed.filter((line) => /^--.* superuser/.test(line)).map((line) => line.split(" ")[1]);
    expect(new Set(named)).toEqual(new Set(["function", "materialized", "note:", "rows", "table", "view"]));

    await db.query(`drop table lair.${name("table")}`);
    const [before, after] = [printed.findIndex((line) => line.startsWith("-- here comes")), printed.length];
    await db.query(printed.slice(0, before).join("\n"));
    await pgnetd(db.url, "migrate");
    await db.query(printed.slice(before, after).join("\n"));
    expect(await db.query("select rolsuper from pg_roles where rolname = $1", [mallory])).toEqual([
      { rolsuper: false },
    ]);

    const { lines } = await runCommandLine(db.url, "uninstall");
    expect(lines.filter((line) => /[\r\n]/.test(line))).toEqual([]);
    expect(lines.at(-1)).toContain("superuser; use");
  } finally {
    await db.query(
      `drop owned by ${mallory} cascade; drop role ${mallory}; drop owned by ${name("role")}; drop role ${name("role")}`,
    );
  }
});

describe("a materialized view of others", () => {
  /** One with this expression for each answer, of which there is one. */
  async function withView(expression: string): Promise<ExtensionDatabase> {
    const db = await server.database();
    await db.query(`create extension pg_net; create schema lair; create sequence lair.calls;
      insert into net._http_response (id, status_code, created) values (1, 0, now());
      create materialized view lair.answers as select id from net._http_response;
      create materialized view lair.bad as select ${expression} as n from net._http_response with no data;
      create materialized view lair.over as select n from lair.bad with no data;
      update pg_class set relispopulated = true where relnamespace = 'lair'::regnamespace`);
    return db;
  }

  const EMPTY = ["bad", "over"].map((name): unknown =>
    expect.stringContaining(
      `materialized view lair.${name} is empty until you run: refresh materialized view lair.${name};`,
    ),
  );

  async function populated(db: ExtensionDatabase): Promise<unknown> {
    return db.query("select relname as name from pg_class where relkind = 'm' and relispopulated order by 1");
  }

  test("that cannot be filled undoes no move: it is named, with what fills it", async () => {
    await using db = await withView("1 / status_code");
    const lines = await pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
    expect(lines.filter((line) => line.includes("is empty until"))).toEqual(EMPTY);
    expect(lines.join("\n")).toContain("(division by zero)");
    expect(await populated(db)).toEqual([{ name: "answers" }]);
    await db.query("select net.http_get('https://example.com/')");
  });

  test.each(["ends", "is stopped"])("that takes its time holds up no request of others, until it %s", async (how) => {
    await using db = await withView("(select 1 from pg_advisory_xact_lock(17))");
    const holder = await db.pool.connect();
    const stop = new AbortController();
    const lines: string[] = [];
    try {
      await holder.query("select pg_advisory_lock(17)");
      const context = {
        env: { DATABASE_URL: db.url },
        print: (line: string) => void lines.push(line),
        stop: stop.signal,
      };
      const moving = runProgram(["migrate", "--from-pg-net", "--yes"], context);
      moving.catch(() => undefined);
      await eventually(async () => {
        const waits = await db.query("select from pg_locks where locktype = 'advisory' and objid = 17 and not granted");
        return waits.length === 1;
      });
      await db.query("set statement_timeout = '20s'; select net.http_get('https://example.com/')");
      if (how === "ends") await holder.query("select pg_advisory_unlock(17)");
      else stop.abort();
      await moving;
    } finally {
      holder.release(true);
    }
    expect(lines.filter((line) => line.includes("is empty until"))).toEqual(how === "ends" ? [] : EMPTY);
    expect(lines[0]).toMatch(/^moved over from pg_net/);
  });
});

test("a move from pg_net fills materialized views of others with the rights of their owners, not of who moves", async () => {
  await using db = await server.database();
  const mallory = `mallory_${randomUUID().slice(0, 8)}`;
  await db.query(`create extension pg_net; create role ${mallory}; create schema lair authorization ${mallory};
    grant usage on schema net to ${mallory}; grant select on net._http_response to ${mallory};
    insert into net._http_response (id, status_code, created) values (1, 200, now())`);
  try {
    await db.query(`set role ${mallory};
      create table lair.ran (who text);
      create function lair.evil() returns int language plpgsql set search_path = pg_catalog as
        'begin insert into lair.ran values (current_user); return 1; end';
      create materialized view lair.answers as select id, lair.evil() as one from net._http_response;
      create unique index answers_key on lair.answers (id);
      create materialized view lair.counted as select count(*)::int as n, sum(one)::int as ones from lair.answers;
      create materialized view lair.empty as select id from net._http_response with no data;
      reset role`);
    const [move] = await pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
    expect(move).toMatch(/^moved over from pg_net/);
    expect(await db.query("select distinct who from lair.ran")).toEqual([{ who: mallory }]);
    expect(await db.query("select * from lair.counted")).toEqual([{ n: 1, ones: 1 }]);
    expect(await db.query("select relname from pg_class where relkind = 'm' and not relispopulated")).toEqual([
      { relname: "empty" },
    ]);
  } finally {
    await db.query(`reset role; drop owned by ${mallory} cascade; drop role ${mallory}`);
  }
});
