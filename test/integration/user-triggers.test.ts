import { expect, test } from "vitest";
import { startInProcess } from "../support/in-process-daemon.ts";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

/** Triggers as owners of a database with pg_net write them: names of tables and functions without their schema. */
async function addTriggers(db: TestDatabase): Promise<void> {
  await db.query(`create schema app; alter database ${db.name} set search_path = app, public`);
  await db.query(`
    create table app.log (what text);
    create function app.shout(word text) returns text language sql as 'select upper(word)';
    create function app.note() returns trigger language plpgsql as $$
    begin
      insert into log values (shout(concat_ws(' ', tg_when, tg_level, tg_op, tg_table_name)));
      return coalesce(new, old);
    end $$`);
  const tables = ["_http_response", "http_response_detail", "http_dead_letter", "http_request_queue"];
  for (const [n, table] of tables.entries()) {
    await db.query(`
      create trigger a${n} before insert or update or delete on net.${table} for each row execute function app.note();
      create trigger b${n} after insert or update or delete on net.${table} for each row execute function app.note();
      create trigger c${n} before insert or update or delete on net.${table} execute function app.note();
      create trigger d${n} after insert or update or delete on net.${table} execute function app.note();
      create constraint trigger e${n} after insert or update or delete on net.${table}
        deferrable initially deferred for each row execute function app.note()`);
  }
}

const RETENTION = { PGNETD_TTL: "1 hour", PGNETD_DEAD_LETTER_TTL: "1 hour" };

test("triggers with unqualified names run in the search_path of the database, whatever the daemon's own is", async () => {
  await using db = await testDatabase();
  await addTriggers(db);
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 503 });
  await db.query(
    `begin; set local search_path = app;
    insert into net.http_request_queue (method, url, timeout_milliseconds, options)
    values ('GET', '${receiver.url("/")}', 1000, null), ('GET', '${receiver.url("/")}', 1000, '{"max_attempts": 2, "retry_first_ms": 1}');
    commit; delete from app.log`,
  );
  {
    await using _daemon = await startInProcess(db.url, RETENTION);
    await emptied(db);
  }
  // The first round of retention comes with the start.
  await db.query(
    `begin; set local search_path = app;
    update net._http_response set created = '2000-01-01'; update net.http_response_detail set created = '2000-01-01';
    update net.http_dead_letter set died = '2000-01-01';
    commit; delete from app.log where what like '%UPDATE%' and what not like '%QUEUE'`,
  );
  {
    await using _daemon = await startInProcess(db.url, RETENTION);
    await eventually(async () => (await db.query("select from net.http_dead_letter")).length === 0);
  }
  const rows = await db.query<{ what: string }>("select what from app.log");
  const kinds = ["BEFORE ROW", "AFTER ROW", "BEFORE STATEMENT", "AFTER STATEMENT"];
  const expected = [
    ...["INSERT", "DELETE"].flatMap((op) =>
      ["_HTTP_RESPONSE", "HTTP_RESPONSE_DETAIL", "HTTP_DEAD_LETTER"].map((table) => `${op} ${table}`),
    ),
    "UPDATE HTTP_REQUEST_QUEUE",
    "DELETE HTTP_REQUEST_QUEUE",
  ].flatMap((one) => kinds.map((kind) => `${kind} ${one}`));
  expect([...new Set(rows.map(({ what }) => what))].toSorted()).toEqual(expected.toSorted());
});

test("a role that the owner lets create triggers has them run as the daemon, or as the owner of a function that says so", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const role = `${db.name}_app`;
  await db.query(
    `create role ${role}; create schema app authorization ${role}; grant trigger on net._http_response to ${role}`,
  );
  try {
    await db.query(`
      set role ${role};
      create table app.log (who text, id bigint);
      create function app.plain() returns trigger language plpgsql as
        $$ begin insert into app.log values (current_user, new.id); return new; end $$;
      create function app.definer() returns trigger language plpgsql security definer as
        $$ begin insert into app.log values (current_user, new.id); return new; end $$;
      create trigger plain after insert on net._http_response for each row execute function app.plain();
      create trigger definer after insert on net._http_response for each row execute function app.definer();
      reset role`);
    await using _daemon = await startInProcess(db.url);
    await db.query("select net.http_get($1)", [receiver.url("/")]);
    await eventually(async () => (await db.query("select from app.log")).length === 2);
    const [daemon] = await db.query<{ name: string }>("select current_user as name");
    expect(await db.query("select who, id from app.log order by who")).toEqual(
      [
        { who: role, id: "1" },
        { who: daemon?.name, id: "1" },
      ].toSorted((a, b) => String(a.who).localeCompare(String(b.who))),
    );
    await expect(db.query(`set role ${role}; drop trigger plain on net._http_response`)).rejects.toMatchObject({
      code: "42501",
    });
  } finally {
    await db.query(`reset role; drop owned by ${role} cascade; drop role ${role}`);
  }
});
