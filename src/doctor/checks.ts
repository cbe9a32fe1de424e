import type { Check } from "./check.ts";
import { CONNECTION_CHECKS } from "./connection.ts";
import { DAEMON_CHECK } from "./daemon.ts";
import { DESTINATIONS_CHECK } from "./destinations.ts";
import { EGRESS_CHECKS } from "./egress.ts";
import { HOST_CHECKS } from "./host.ts";
import { RIGHTS_CHECKS } from "./rights.ts";
import { SCHEMA_CHECKS } from "./schema.ts";
import { SERVER_CHECKS } from "./server.ts";
import { STREAM_CHECKS } from "./stream.ts";
import { TABLE_RIGHTS } from "./table-rights.ts";
import { TABLE_CHECKS } from "./tables.ts";

/** Causes before consequences, and what keeps requests from being sent before what delays them. Findings are shown in this order. */
const ORDER: readonly (readonly string[])[] = [
  // Nothing can be done, or sent.
  ["pooler", "login", "primary", "server-version", "extension-pg-net", "schema-owner", "create-right"],
  [
    "schema-version",
    "environment",
    "table-rights",
    "row-security",
    "synchronous-standby",
    "daemon",
    "leader",
    "replica-identity",
  ],
  // Requests are late.
  [
    "wal-level",
    "replication-right",
    "slots-free",
    "walsenders-free",
    "publications",
    "slot-creation",
    "slot",
    "slot-plugin",
  ],
  // Some requests fail, or something will.
  [
    "schema-objects",
    "destinations",
    "url",
    "tls-store",
    "dns",
    "slot-wal-limit",
    "foreign-publications",
    "code-rights",
  ],
  ["idle-slots", "old-transactions", "autovacuum", "dead-rows", "clock", "descriptors", "memory"],
];

const RANKS: ReadonlyMap<string, number> = new Map(ORDER.flat().map((id, rank) => [id, rank]));

/** All checks, in the order in which what they find is ranked. */
export const CHECKS: readonly Check[] = [
  ...CONNECTION_CHECKS,
  ...RIGHTS_CHECKS,
  ...SCHEMA_CHECKS,
  ...TABLE_RIGHTS,
  ...SERVER_CHECKS,
  DAEMON_CHECK,
  ...STREAM_CHECKS,
  ...HOST_CHECKS,
  ...EGRESS_CHECKS,
  DESTINATIONS_CHECK,
  ...TABLE_CHECKS,
].toSorted((a, b) => (RANKS.get(a.id) ?? Infinity) - (RANKS.get(b.id) ?? Infinity));

/** Ids without a place in the order, and places without a check. */
export function unranked(): readonly string[] {
  const ids = CHECKS.map(({ id }) => id);
  return [...ids.filter((id) => !RANKS.has(id)), ...[...RANKS.keys()].filter((id) => !ids.includes(id))];
}
