import { systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { quotable } from "../config/redact.ts";
import { tablesProblem } from "../pg/await-schema.ts";
import { isInt8 } from "../pg/int8.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { leftText, Progress, TimeLeft } from "./progress.ts";
import { usage } from "./usage.ts";

/** An id comes as often as there are dead letters with it: a call of `net.http_replay` takes one. */
const SELECT_IDS = "select id::text from net.http_dead_letter order by id";

/** What `pgnetd replay` takes. */
export interface ReplayFlags extends ConfigFlag {
  readonly id?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** `pgnetd replay`: puts one dead letter, or all of them, back into the outbox. */
export async function replay(flags: ReplayFlags, context: CommandContext): Promise<void> {
  const { env, print } = context;
  const one = idOf(flags);
  const { database } = loadConfig({ env, file: flags.config });
  await using db = openPool({ ...database, size: 1 });
  const problem = await tablesProblem(db);
  if (problem !== null) throw problem;
  const ids = one === null ? (await db.query<{ id: string }>({ text: SELECT_IDS })).rows.map(({ id }) => id) : [one];
  const isJson = flags.json === true;
  // Nothing but the one object is printed with --json, and that one also where it fails in the middle.
  const shown = isJson ? { print: () => undefined, stop: context.stop } : context;
  const sum: Replayed = { replayed: 0, waiting: new Set(), gone: 0, left: ids.length };
  try {
    await replayAll(db, ids, { ...shown, sum });
  } finally {
    if (isJson) print(JSON.stringify({ ...sum, waiting: [...sum.waiting] }));
  }
  const { replayed, waiting, gone, left } = sum;
  if (one !== null && gone > 0) {
    throw new PgnetdError("NOT_DONE", `there is no dead letter with id ${one}`, {
      hint: "See net.http_dead_letter for those there are.",
    });
  }
  const without = gone === 0 ? "" : `; ${gone} were gone by the time they were come to`;
  if (!isJson) print(`${replayed} dead letters are in the outbox again${without}`);
  if (left > 0) {
    throw new PgnetdError("NOT_DONE", `ended early: ${left} dead letters are left as they were`, {
      hint: "Run the command again.",
    });
  }
  if (waiting.size > 0) {
    throw new PgnetdError(
      "NOT_DONE",
      `left, as the same id or deduplication key waits already: ${[...waiting].join(", ")}`,
      {
        hint: "Replay them when that request has ended, or delete them from net.http_dead_letter.",
      },
    );
  }
}

/** What has become of dead letters that are to be replayed, so far. */
interface Replayed {
  replayed: number;
  /** Ids of those whose id or deduplication key waits already, each once. */
  readonly waiting: Set<string>;
  /** Replayed or deleted by somebody else meanwhile. */
  gone: number;
  /** Not come to. */
  left: number;
}

interface Shown extends Pick<CommandContext, "print" | "live" | "stop"> {
  readonly sum: Replayed;
}

async function replayAll(db: Queryable, ids: readonly string[], { sum, ...context }: Shown): Promise<void> {
  using progress = new Progress(context, systemClock, "replaying");
  const timeLeft = new TimeLeft();
  for (const id of ids) {
    if (context.stop.aborted) break;
    const became = await replayOne(db, id);
    if (became === "waiting") sum.waiting.add(id);
    else sum[became]++;
    sum.left--;
    const estimate = leftText(timeLeft.after(systemClock.now(), sum.left));
    progress.report("replaying", `${ids.length - sum.left} of ${ids.length} dead letters${estimate}`);
  }
}

/** `waiting` where a request with the same id or deduplication key waits, `gone` where there is no such dead letter. */
async function replayOne(db: Queryable, id: string): Promise<"replayed" | "waiting" | "gone"> {
  try {
    await db.query({ text: "select net.http_replay($1::int8)", values: [id] });
    return "replayed";
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === SQLSTATE.uniqueViolation) return "waiting";
    if (sqlstate === SQLSTATE.noDataFound) return "gone";
    throw error;
  }
}

function idOf({ id, all }: ReplayFlags): string | null {
  if (id === undefined && all !== true) throw usage("replay needs either --id <id> or --all", "replay");
  if (id !== undefined && !isInt8(id)) throw usage(`--id is ${quotable(id)}: must be the id of a request`, "replay");
  return id ?? null;
}
