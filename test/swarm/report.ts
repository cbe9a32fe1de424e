import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Account } from "./books.ts";
import { describePlan } from "./describe.ts";
import type { Line } from "./journal.ts";
import type { RunResult } from "./run.ts";

/** So many harms are told in full. */
const MOST_TOLD = 5;

/** What went wrong, the plan, and what became of the requests concerned. */
export function describeFailure(result: RunResult): readonly string[] {
  const { harms, plan, version } = result;
  const more = harms.length > MOST_TOLD ? [`and ${harms.length - MOST_TOLD} more`] : [];
  return [
    `seed ${plan.seed} FAILED on PostgreSQL ${version}: ${harms.length} harms`,
    ...describePlan(plan),
    ...harms
      .slice(0, MOST_TOLD)
      .flatMap(({ what, account }) => [
        `HARM ${what}`,
        ...(account === null ? [] : timeline(account, result).map((line) => `       ${line}`)),
      ]),
    ...more,
    `Most likely to happen again with: npm run swarm -- --seed ${plan.seed} --runs 1 (the plan is the same, its timing is real)`,
  ];
}

/** What happened to one request, in order, with the faults beside it. */
function timeline({ id, keys, arrivals, ends }: Account, { books, journal }: RunResult): readonly string[] {
  const lines: Line[] = [];
  for (const key of keys) {
    const transaction = books.transactionOf(key);
    if (transaction === undefined) continue;
    const { begunAt, commitAt, acknowledgedAt, ending } = transaction;
    lines.push({ at: begunAt, text: `request ${id}, key ${key} is made (${ending})` });
    if (commitAt < Infinity) lines.push({ at: commitAt, text: "its commit is asked for" });
    if (acknowledgedAt < Infinity) lines.push({ at: acknowledgedAt, text: "its transaction has ended" });
  }
  for (const { at, answeredAt, destination, conduct, idempotencyKey } of arrivals) {
    lines.push({ at, text: `came to destination ${destination} (${conduct}), Idempotency-Key ${idempotencyKey}` });
    if (answeredAt !== null) lines.push({ at: answeredAt, text: "answered there" });
  }
  for (const { kind, at, attempts, status, error } of ends) {
    lines.push({ at, text: `${kind} after ${attempts} tries: ${status ?? error ?? ""}` });
  }
  const faults = journal.lines.filter(({ text }) => /FAULT|end of|process/.test(text));
  return [...lines, ...faults].toSorted((a, b) => a.at - b.at).map((line) => journal.show(line));
}

/** Writes the logs and what went wrong into a folder of this run, and returns its name. */
export async function keepLogs(parent: string, result: RunResult): Promise<string> {
  const folder = join(parent, `seed-${result.plan.seed}`);
  await mkdir(folder, { recursive: true });
  const daemons = result.logs.slice(0, -1);
  for (const [index, log] of daemons.entries()) await writeFile(join(folder, `daemon-${index}.log`), log);
  await writeFile(join(folder, "server.log"), result.logs.at(-1) ?? "");
  const journal = result.journal.lines.map((line) => result.journal.show(line));
  await writeFile(join(folder, "report.txt"), [...describeFailure(result), "", ...journal, ""].join("\n"));
  return folder;
}
