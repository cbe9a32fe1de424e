import { expect, test } from "vitest";

import { openPool } from "../../src/pg/pool.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

const HIDE = "alter table net.http_request_queue enable row level security, force row level security";
const SHOW = "alter table net.http_request_queue disable row level security";
const ANSWERS = "select count(*)::int as answers from net._http_response";

// Rows that a policy hides from the daemon look like rows that their owner has cancelled.
test.each([
  ["disabled", () => SHOW],
  ["bypassed", (role: string) => `alter role ${role} bypassrls`],
])(
  "P2 P3: row security that holds for the daemon takes no answer away until it is %s, and none is asked for again",
  async (_, mend) => {
    await using role = await daemonRole();
    await using db = await testDatabase({ migrated: false });
    const url = await role.own(db);
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl: url });
    await daemon.live();
    const hidden = Promise.withResolvers<void>();
    receiver.behave({ kind: "answer", after: hidden.promise });
    await enqueue(db, receiver.url("/"), 5);
    await receiver.waitFor(5);
    await db.query(HIDE);
    hidden.resolve();
    await eventually(() => daemon.log().includes("results cannot be written"));
    const { detail } = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly detail: string };
    expect(detail).toContain(`row security holds for role ${role.name} on net.http_request_queue`);
    await enqueue(db, receiver.url("/"), 5);
    await db.query(mend(role.name));
    await emptied(db);
    expect([await db.query(ANSWERS), receiver.requests.length]).toEqual([[{ answers: 10 }], 10]);
  },
);

test("P2: what was prepared while row security held brings every row to a role that was given BYPASSRLS since", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  await using pool = openPool({ url: await role.own(db), size: 1, statementTimeoutMs: 60_000 });
  const count = async (): Promise<unknown> => {
    const { rows } = await pool.query({ name: "count", text: "select count(*)::int as n from net.http_request_queue" });
    return rows;
  };
  await enqueue(db, "http://127.0.0.1:9/", 3);
  expect(await count()).toEqual([{ n: 3 }]);
  await db.query(HIDE);
  await expect(count()).rejects.toMatchObject({
    code: "PG_REFUSED",
    message: `row security holds for role ${role.name} on net.http_request_queue: rows may be hidden from it`,
    hint: expect.stringContaining(`alter role ${role.name} bypassrls`) as unknown,
  });
  await db.query(`alter role ${role.name} bypassrls`);
  expect(await count()).toEqual([{ n: 3 }]);
});

test("triggers on results have the row security that the database has for its users", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  const url = await role.own(db);
  await db.query(`
    create table public.note (id bigint, seen int);
    alter table public.note enable row level security;
    create policy mine on public.note using (id < 0) with check (true);
    grant select, insert on public.note to ${role.name};
    create function public.note() returns trigger language plpgsql as $$
    begin
      insert into public.note values (new.id, (select count(*) from public.note));
      return new;
    end $$;
    create trigger before_it before insert on net._http_response for each row execute function public.note();
    create trigger after_it after insert on net._http_response for each row execute function public.note()`);
  await using receiver = await startReceiver();
  await using _daemon = await startDaemon({ databaseUrl: url });
  for (const path of ["/1", "/2"]) {
    await enqueue(db, receiver.url(path), 1);
    await emptied(db);
  }
  expect(await db.query("select id::int, seen from public.note order by id")).toEqual(
    [1, 1, 2, 2].map((id) => ({ id, seen: 0 })),
  );
});

test("P2: a daemon that begins with rows hidden from it sends nothing, says why, and goes on by itself", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  const url = await role.own(db);
  await using receiver = await startReceiver();
  await db.query(HIDE);
  await enqueue(db, receiver.url("/"), 5);
  await using daemon = await startDaemon({ databaseUrl: url, waitUntilReady: false });
  await eventually(() => daemon.log().includes("row security holds"));
  const { detail } = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly detail: string };
  expect(detail).toContain(`alter role ${role.name} bypassrls`);
  expect(receiver.requests).toEqual([]);
  await db.query(SHOW);
  await emptied(db);
  expect([await db.query(ANSWERS), receiver.requests.length]).toEqual([[{ answers: 5 }], 5]);
});

test.runIf(SLOT_PLUGIN === "pgoutput")(
  "P2: a running daemon notices rows hidden from it within seconds, sends nothing until they are shown, and then all once",
  async () => {
    await using role = await daemonRole();
    await using db = await testDatabase({ migrated: false });
    const url = await role.own(db);
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl: url });
    await daemon.live();
    await db.query(HIDE);
    // It leads anew, and reads these first; a sweep may have failed before, while what was streamed still started.
    await eventually(() => daemon.log().includes("settings of hosts could not be read"), 30_000);
    await enqueue(db, receiver.url("/"), 5);
    await eventually(async () => {
      const { detail } = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly detail: string };
      return detail.includes("row security holds");
    }, 20_000);
    expect(receiver.requests).toEqual([]);
    await db.query(SHOW);
    await emptied(db);
    expect([await db.query(ANSWERS), receiver.requests.length]).toEqual([[{ answers: 5 }], 5]);
  },
);
