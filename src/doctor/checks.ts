import type { Check } from "./check.ts";
import { CONNECTION_CHECKS } from "./connection.ts";
import { RIGHTS_CHECKS } from "./rights.ts";
import { SCHEMA_CHECKS } from "./schema.ts";
import { SERVER_CHECKS } from "./server.ts";
import { TABLE_RIGHTS } from "./table-rights.ts";

/** All checks. What explains most comes first: findings are shown in this order. */
export const CHECKS: readonly Check[] = [
  ...CONNECTION_CHECKS,
  ...RIGHTS_CHECKS,
  ...SCHEMA_CHECKS,
  TABLE_RIGHTS,
  ...SERVER_CHECKS,
];
