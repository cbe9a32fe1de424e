import { PgnetdError } from "../base/errors.ts";
import { connect } from "../pg/connection.ts";
import { isFilling, type Moved, moveFromPgNet, type MoveOptions, type MovePlan, planMove } from "../pg/pg-net-move.ts";
import { fillViews } from "../pg/pg-net-views.ts";
import type { CommandContext } from "./context.ts";
import { printable } from "./paint.ts";
import { usage } from "./usage.ts";

/** What a move takes. */
export interface MoveFlags {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `pgnetd migrate --from-pg-net`: shows or does the move; false where there is no pg_net to move over from. */
export async function move(
  url: string,
  options: MoveOptions,
  { dryRun = false, yes = false }: MoveFlags,
  { print, ask }: Pick<CommandContext, "print" | "ask">,
): Promise<boolean> {
  const client = await connect(url, "migrate");
  try {
    const plan = await planMove(client, options);
    if (plan === null) return false;
    if (dryRun || !yes) for (const line of planLines(plan)) print(line);
    if (dryRun) return true;
    if (!yes) await agreed(ask);
    const moved = await moveFromPgNet(client, options);
    if (moved === null) return false;
    for (const line of movedLines(moved)) print(line);
    const { signal, waiting } = options;
    for await (const line of fillViews(client, moved.objects, { url, signal, waiting })) print(printable(line));
    return true;
  } finally {
    await client.end();
  }
}

async function agreed(ask: CommandContext["ask"]): Promise<void> {
  if (ask === undefined || ask === null) {
    throw usage("nothing was changed: without a terminal to ask on, it needs --yes", "migrate");
  }
  if (await ask("Move over now?")) return;
  throw new PgnetdError("NOT_DONE", "nothing was changed: the answer was not yes", {
    hint: "Run the command again when you are ready.",
  });
}

/** SQL that does the same by hand, with `pgnetd migrate` in between. */
function planLines({ version, requests, answers, objects }: MovePlan): readonly string[] {
  const drops = objects.toReversed().flatMap(({ drop }) => (drop === null ? [] : [`${drop};`]));
  const creates = objects.flatMap(({ kind, object, create }) =>
    create === null ? [] : [comment(`${kind} ${object}`), `${create};`],
  );
  const problems = objects.flatMap(({ kind, object, problem }) =>
    problem === null ? [] : [comment(`${kind} ${object}: ${problem}`)],
  );
  const notes = notesOf(objects);
  return [
    comment(`pg_net ${version}: ${requests} requests and ${answers} answers are carried over`),
    ...drops,
    "alter extension pg_net drop schema net;",
    "drop extension pg_net;",
    comment("here comes what pgnetd migrate installs; then what others made is made again"),
    ...creates,
    ...notes.map((note) => comment(`note: ${note}`)),
    ...(problems.length === 0 ? [] : [comment("IN THE WAY, to be done first"), ...problems]),
  ];
}

/** One line whatever the names in it: behind a line break of theirs, SQL of others would begin. */
function comment(text: string): string {
  return `-- ${printable(text)}`;
}

function notesOf(objects: MovePlan["objects"]): readonly string[] {
  return objects.filter(({ kind }) => kind === "note").map(({ object }) => object);
}

function movedLines({ version, requests, answers, objects, migrated, triggers }: Moved): readonly string[] {
  const again = objects.filter((one) => one.create !== null && !isFilling(one)).length;
  return [
    `moved over from pg_net ${version}: ${requests} requests, ${answers} answers, ${again} things of others made again`,
    `schema installed: version ${migrated.to}`,
    ...migrated.notes,
    ...notesOf(objects),
    ...triggers.map(
      (name) => `trigger ${name} runs as the daemon's role now, no superuser: see that it may do what it does`,
    ),
    "guards that look for the extension skip their calls now: pgnetd extension says how to have a placeholder",
  ].map(printable);
}
