import { z } from "zod";

import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { redact } from "../config/redact.ts";
import { hostOfSettings } from "../outbox/host-settings.ts";
import { isInt8 } from "../pg/int8.ts";
import type { Queryable, Statement } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

const host = z.string().regex(/^[a-z0-9._:[\]-]{1,253}$/);
const id = z.string().refine(isInt8);

const actionSchema = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("pause"), host }),
  z.strictObject({ action: z.literal("resume"), host }),
  z.strictObject({ action: z.literal("cancel"), id }),
  z.strictObject({ action: z.literal("replay"), id }),
  z.strictObject({ action: z.literal("wake") }),
]);

type Action = z.infer<typeof actionSchema>;

/** How an action ended: the status of its answer, and what to say. */
export interface ActionResult {
  readonly status: number;
  readonly message: string;
}

/** Does what the page asks for, and records it in the log; `from` is the address that asked. */
export async function act(
  db: Queryable,
  given: unknown,
  { log, from }: { readonly log: Log; readonly from: string },
): Promise<ActionResult> {
  const parsed = actionSchema.safeParse(given);
  if (!parsed.success) return { status: 400, message: "there is no such action, or what it is for is missing" };
  const action = parsed.data;
  const result = await perform(db, action).catch((error: unknown) => failure(error));
  const fields = { ...action, from, done: result.status === 200 };
  if (result.status === 200) log.info(fields, "the page: an action was done");
  else log.warn({ ...fields, reason: result.message }, "the page: an action was not done");
  return result;
}

async function perform(db: Queryable, action: Action): Promise<ActionResult> {
  const { rowCount } = action.action === "resume" ? await resume(db, action.host) : await db.query(statementOf(action));
  const isDone = (rowCount ?? 0) > 0;
  switch (action.action) {
    case "pause":
      return done(`${action.host} is paused: its requests wait`);
    case "resume":
      return isDone ? done(`${action.host} is resumed`) : { status: 404, message: `${action.host} is not paused` };
    case "cancel":
      return isDone
        ? done(`request ${action.id} is deleted; what is in memory already may still be sent`)
        : { status: 404, message: `no request ${action.id} waits` };
    case "replay":
      return done(`request ${action.id} is in the outbox again`);
    case "wake":
      return done("the outbox is read");
  }
}

/** However the rows that pause it spell the host. */
async function resume(db: Queryable, host: string): Promise<{ readonly rowCount: number | null }> {
  const { rows } = await db.query<{ host: string }>({ text: "select host from net.http_host_settings where paused" });
  const of = hostOfSettings(host);
  const spellings = rows.map((row) => row.host).filter((text) => hostOfSettings(text) === of);
  return db.query({
    text: "update net.http_host_settings set paused = false where host = any ($1) and paused",
    values: [spellings],
  });
}

function statementOf(action: Exclude<Action, { action: "resume" }>): Statement {
  switch (action.action) {
    case "pause":
      return {
        text: "insert into net.http_host_settings (host, paused) values ($1, true) on conflict (host) do update set paused = true",
        values: [action.host],
      };
    case "cancel":
      return { text: "delete from net.http_request_queue where id = $1::int8", values: [action.id] };
    case "replay":
      return { text: "select net.http_replay($1::int8)", values: [action.id] };
    case "wake":
      return { text: "select net.wake()" };
  }
}

function done(message: string): ActionResult {
  return { status: 200, message };
}

function failure(error: unknown): ActionResult {
  const sqlstate = sqlstateOf(error);
  if (sqlstate === SQLSTATE.noDataFound) return { status: 404, message: "there is no such dead letter" };
  if (sqlstate === SQLSTATE.uniqueViolation)
    return { status: 409, message: "a request with the same id or deduplication key waits already" };
  if (sqlstate === SQLSTATE.insufficientPrivilege)
    return { status: 403, message: "the role of pgnetd may not do this in the database" };
  return { status: 500, message: redact(toError(error).message) };
}
