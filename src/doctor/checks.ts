import type { Check } from "./check.ts";
import { CONNECTION_CHECKS } from "./connection.ts";
import { EGRESS_CHECKS } from "./egress.ts";
import { HOST_CHECKS } from "./host.ts";
import { RIGHTS_CHECKS } from "./rights.ts";
import { SCHEMA_CHECKS } from "./schema.ts";
import { SERVER_CHECKS } from "./server.ts";
import { STREAM_CHECKS } from "./stream.ts";
import { TABLE_RIGHTS } from "./table-rights.ts";
import { TABLE_CHECKS } from "./tables.ts";

/** All checks. What explains most comes first: findings are shown in this order. */
export const CHECKS: readonly Check[] = [
  ...CONNECTION_CHECKS,
  ...RIGHTS_CHECKS,
  ...SCHEMA_CHECKS,
  TABLE_RIGHTS,
  ...SERVER_CHECKS,
  ...STREAM_CHECKS,
  ...HOST_CHECKS,
  ...EGRESS_CHECKS,
  ...TABLE_CHECKS,
];
