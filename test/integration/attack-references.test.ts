import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pgnetd } from "../support/command.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION, NO_FOREIGN_KEYS_VERSION } from "../../src/pg/migrations.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

// PostgreSQL checks a foreign key as the owner of the table that it refers to, with casts that the one who made it chose.

/** A role with a schema of its own in the databases of this file, and nothing else. */
const MALLORY = `mallory_${randomUUID().slice(0, 8)}`;
/** A role that may install pgnetd, and is no superuser. */
const OWNER = `owner_${randomUUID().slice(0, 8)}`;
const PASSWORD = "secret";

let first: TestDatabase;
beforeAll(async () => {
  first = await testDatabase();
  await first.query(`create role ${MALLORY}; create role ${OWNER} login password '${PASSWORD}'`);
});
afterAll(async () => {
  await first.query(`drop role ${MALLORY}, ${OWNER}`);
  await first[Symbol.asyncDispose]();
});

function asOwner(db: TestDatabase): string {
  const url = new URL(db.url);
  url.username = OWNER;
  url.password = PASSWORD;
  return url.href;
}

async function asMallory(db: TestDatabase, text: string): Promise<void> {
  const client = await db.pool.connect();
  try {
    await client.query(`set role ${MALLORY}`);
    await client.query(text);
  } finally {
    await client.query("rollback; reset role");
    client.release();
  }
}

/** Has a type of Mallory's whose casts record whose rights they run with. */
async function setTrap(db: TestDatabase): Promise<void> {
  await db.query(`create schema trap authorization ${MALLORY}`);
  await asMallory(
    db,
    `grant usage on schema trap to public;
    create table trap.sprung (who text);
    grant insert on trap.sprung to public;
    create type trap.e as enum ('x')`,
  );
  for (const type of ["boolean", "text", "bigint", "integer"]) {
    await asMallory(
      db,
      `create function trap.to_${type}(trap.e) returns ${type} language plpgsql as $$ begin
        insert into trap.sprung values (current_user);
        return ${{ boolean: "true", text: "'grants'" }[type] ?? "1"};
      end $$;
      create cast (trap.e as ${type}) with function trap.to_${type}(trap.e) as implicit`,
    );
  }
}

const SPRUNG = "select distinct who from trap.sprung";

/** With what could refer to them. PostgreSQL 18 takes no enum for a text. */
const KEYS = [
  { table: "net.pgnetd_installation", type: "trap.e", value: "x" },
  { table: "net.pgnetd_parts", type: "text", value: "grants" },
] as const;

/** What a foreign key can name: each table, and each column of it. */
async function references(db: TestDatabase): Promise<readonly string[]> {
  const rows = await db.query<{ reference: string }>(`
    select format('%s%s', c.oid::regclass, case when named then ' (' || a.attname || ')' end) as reference
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    cross join (values (true), (false)) as w (named)
    where c.relnamespace = any (array['net', 'supabase_functions']::regnamespace[]) and c.relkind = 'r' order by 1`);
  return [...new Set(rows.map(({ reference }) => reference))];
}

const GRANTS = [
  ["as installed", ["migrate", "--webhooks"]],
  ["with open grants", ["migrate", "--webhooks", "--grants", "open"]],
  ["with restricted grants", ["migrate", "--webhooks", "--grants", "restricted", "--callers", MALLORY]],
] as const;

test.for(GRANTS)("no role can make a foreign key to a table of pgnetd %s", async ([, command]) => {
  await using db = await testDatabase();
  await pgnetd(db.url, ...command);
  await setTrap(db);
  for (const reference of await references(db)) {
    // Without the right, without a primary key, or without a unique key of the column.
    const refused = { code: expect.stringMatching(/^(42501|42704|42830)$/) as unknown };
    await expect(
      asMallory(db, `create unlogged table trap.t (c trap.e references ${reference})`),
    ).rejects.toMatchObject(refused);
  }
  expect(await db.query(SPRUNG)).toEqual([]);
});

test("nor while an installation is under way", async () => {
  for (let version = 1; version <= LATEST_VERSION; version += 1) {
    await using db = await testDatabase({ migrated: false });
    await migrate(db.url, { to: version });
    await setTrap(db);
    for (const { table } of KEYS) {
      await expect(
        asMallory(db, `create table trap.t (c trap.e references ${table})`),
        `version ${version}`,
      ).rejects.toMatchObject({ code: version < NO_FOREIGN_KEYS_VERSION ? "42501" : "42704" });
    }
  }
});

describe("an installation of before, where every role could", () => {
  async function trapped(): Promise<TestDatabase> {
    const db = await testDatabase({ migrated: false });
    await db.query(`grant create on database ${db.name} to ${OWNER}`);
    await migrate(asOwner(db), { to: NO_FOREIGN_KEYS_VERSION - 1 });
    await db.query("grant references on net.pgnetd_installation, net.pgnetd_parts to public");
    await db.query("insert into net.pgnetd_parts values ('grants', null)");
    await setTrap(db);
    for (const [at, { table, type, value }] of KEYS.entries()) {
      await asMallory(
        db,
        `create table trap.t${at} (c ${type} references ${table}); insert into trap.t${at} values ('${value}')`,
      );
    }
    expect(await db.query(SPRUNG)).toEqual([{ who: OWNER }]);
    await db.query("delete from trap.sprung");
    return db;
  }

  test("is upgraded: the foreign keys are gone, and what they called runs no more", async () => {
    await using db = await trapped();
    expect(await migrate(asOwner(db))).toMatchObject({ from: NO_FOREIGN_KEYS_VERSION - 1, to: LATEST_VERSION });
    expect(await db.query("select from pg_constraint where contype = 'f'")).toEqual([]);
    for (const [at, { value }] of KEYS.entries()) {
      await asMallory(db, `insert into trap.t${at} values ('${value}')`);
      expect(await db.query(`select from trap.t${at}`)).toHaveLength(2);
    }
    expect(await db.query(SPRUNG)).toEqual([]);
    await pgnetd(asOwner(db), "uninstall", "--yes");
  });

  test("keeps its one row and its parts, and takes no second", async () => {
    await using db = await trapped();
    const before = await db.query("select * from net.pgnetd_installation");
    await migrate(asOwner(db));
    expect(await db.query("select * from net.pgnetd_installation")).toEqual(before);
    for (const text of [
      "insert into net.pgnetd_installation default values",
      "insert into net.pgnetd_installation (only_row) values (null)",
      "insert into net.pgnetd_installation (only_row) values (false)",
      "insert into net.pgnetd_parts (name) values ('grants')",
      "insert into net.pgnetd_parts (name) values (null)",
    ]) {
      await expect(db.query(text)).rejects.toMatchObject({ code: expect.stringMatching(/^23/) as unknown });
    }
    await migrate(asOwner(db), { grants: { kind: "open" }, webhooks: true });
    expect(await db.query("select name from net.pgnetd_parts where name <> 'settings' order by 1")).toEqual([
      { name: "grants" },
      { name: "webhooks" },
    ]);
  });
});
