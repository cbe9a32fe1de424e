import { PgnetdError } from "../base/errors.ts";
import { isTrusted } from "./ownership.ts";
import type { Queryable } from "./pool.ts";

/** A publication that must publish every insert into a table, whole. */
export interface NeededPublication {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  /** The statement that makes it. */
  readonly make: string;
  /** What it is for. */
  readonly about: string;
}

/** The publications that migrate makes: requests, and settings. */
export const PUBLICATIONS: readonly NeededPublication[] = [
  {
    name: "pgnetd_outbox",
    schema: "net",
    table: "http_request_queue",
    make: "create publication pgnetd_outbox for table net.http_request_queue with (publish = 'insert, truncate')",
    about: "Committed requests, for the pgnetd daemon.",
  },
  {
    name: "pgnetd_settings",
    schema: "net",
    table: "http_host_settings",
    make: "create publication pgnetd_settings for table net.http_host_settings",
    about: "Changes of settings, for the pgnetd daemon.",
  },
];

const SELECT = `
select w.name, p.oid is not null as there,
  exists (select from pg_catalog.pg_publication_tables t where t.pubname = p.pubname) as used,
  case when not ${isTrusted("p.pubowner")} then pg_catalog.pg_get_userbyid(p.pubowner)::text end as other
from pg_catalog.unnest($1::text[]) as w (name) left join pg_catalog.pg_publication p on p.pubname = w.name`;

interface Found {
  readonly name: string;
  readonly there: boolean;
  /** True where it publishes anything. */
  readonly used: boolean;
  /** Its owner, where that is nobody to be trusted. */
  readonly other: string | null;
}

async function find(db: Queryable): Promise<readonly Found[]> {
  const values = [PUBLICATIONS.map(({ name }) => name)];
  return (await db.query<Found & Record<string, unknown>>({ text: SELECT, values })).rows;
}

/** Drops what `drop schema net cascade` leaves: publications of ours that publish nothing, in the place of new ones. */
export async function dropEmptyPublications(db: Queryable): Promise<void> {
  for (const { name, there, used, other } of await find(db)) {
    if (!there || used) continue;
    if (other !== null) {
      throw new PgnetdError("MIGRATION_FAILED", `publication ${name} belongs to role ${other}, and publishes nothing`, {
        hint: `pgnetd needs one of that name: drop publication ${name}, as ${other} or as a superuser.`,
      });
    }
    await db.query({ text: `drop publication ${name}` });
  }
}

/** Makes publications that are missing, or publish nothing. */
export async function restorePublications(db: Queryable): Promise<void> {
  await dropEmptyPublications(db);
  for (const { name, there, used } of await find(db)) {
    const needed = PUBLICATIONS.find((one) => one.name === name);
    if ((there && used) || needed === undefined) continue;
    await db.query({ text: needed.make });
    await db.query({ text: `comment on publication ${name} is '${needed.about}'` });
  }
}
