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
  // Nothing but the one object is printed with --json.
  const shown = isJson ? { print: () => undefined, stop: context.stop } : context;
  const { replayed, waiting, left } = await replayAll(db, ids, shown);
  if (isJson) print(JSON.stringify({ replayed, waiting, left }));
  else print(`${replayed} dead letters are in the outbox again`);
  if (left > 0) {
    throw new PgnetdError("NOT_DONE", `ended early: ${left} dead letters are left as they were`, {
      hint: "Run the command again.",
    });
  }
  if (waiting.length > 0) {
    throw new PgnetdError(
      "NOT_DONE",
      `left, as the same id or deduplication key waits already: ${waiting.join(", ")}`,
      {
        hint: "Replay them when that request has ended, or delete them from net.http_dead_letter.",
      },
    );
  }
}

/** What became of dead letters that were to be replayed. */
interface Replayed {
  readonly replayed: number;
  /** Ids of those whose id or deduplication key waits already, each once. */
  readonly waiting: readonly string[];
  /** Not come to before the process was asked to end. */
  readonly left: number;
}

type Shown = Pick<CommandContext, "print" | "live" | "stop">;

async function replayAll(db: Queryable, ids: readonly string[], context: Shown): Promise<Replayed> {
  using progress = new Progress(context, systemClock, "replaying");
  const timeLeft = new TimeLeft();
  const waiting = new Set<string>();
  let replayed = 0;
  let done = 0;
  for (const id of ids) {
    if (context.stop.aborted) break;
    if (await isReplayed(db, id)) replayed++;
    else waiting.add(id);
    done++;
    const estimate = leftText(timeLeft.after(systemClock.now(), ids.length - done));
    progress.report("replaying", `${done} of ${ids.length} dead letters${estimate}`);
  }
  return { replayed, waiting: [...waiting], left: ids.length - done };
}

/** False where a request with the same id or deduplication key waits. */
async function isReplayed(db: Queryable, id: string): Promise<boolean> {
  try {
    await db.query({ text: "select net.http_replay($1::int8)", values: [id] });
    return true;
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === SQLSTATE.uniqueViolation) return false;
    if (sqlstate !== SQLSTATE.noDataFound) throw error;
    throw new PgnetdError("NOT_DONE", `there is no dead letter with id ${id}`, {
      hint: "See net.http_dead_letter for those there are.",
    });
  }
}

function idOf({ id, all }: ReplayFlags): string | null {
  if (id === undefined && all !== true) throw usage("replay needs either --id <id> or --all", "replay");
  if (id !== undefined && !isInt8(id)) throw usage(`--id is ${quotable(id)}: must be the id of a request`, "replay");
  return id ?? null;
}
