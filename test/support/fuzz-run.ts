import type fc from "fast-check";
import { toError } from "../../src/base/errors.ts";
import { type BatchReport, type Lab, idsOf } from "./fuzz-lab.ts";
import type { FuzzRow } from "./fuzz-row.ts";
import type { Received } from "./http-peer.ts";
import { ONLY_BATCH, SCALE, SEED, casesOf, repeatCommand } from "./fuzz-seed.ts";

/** One kind of cases: how they are made, and how a batch of them is thrown at the daemon. */
export interface FuzzKind<T> {
  readonly name: string;
  /** The test file, for the command that repeats a batch. */
  readonly file: string;
  readonly batches: number;
  readonly size: number;
  readonly open: () => Promise<Lab>;
  /** Made for a lab, since ports differ; drawn in the same order for the same seed. */
  readonly cases: (lab: Lab) => fc.Arbitrary<T>;
  readonly rowOf: (one: T, at: number, lab: Lab) => FuzzRow;
  /** Brings the rows into the outbox, and resolves to the ids of those that are in it. */
  readonly insert: (
    lab: Lab,
    rows: readonly FuzzRow[],
    ids: readonly string[],
    batch: number,
  ) => Promise<readonly string[]>;
  /** Further checks of a batch that ended, its results still in the tables: what is wrong. */
  readonly verify?: (batch: EndedBatch<T>) => Promise<string | null>;
}

/** A batch whose rows have ended. */
export interface EndedBatch<T> {
  readonly lab: Lab;
  readonly cases: readonly T[];
  /** The id of each case, where the kind inserts all. */
  readonly ids: readonly string[];
  /** What reached the target meanwhile. */
  readonly received: readonly Received[];
}

/** Some row ends within this time for as long as there are any; where a part of a batch is tried again, sooner. */
const ENDS_WITHIN_MS = 30_000;
const ENDS_AGAIN_WITHIN_MS = 8_000;
const SHRINKS_WITHIN_MS = 120_000;

/** What a kind came to. */
export interface FuzzResult {
  readonly cases: number;
  /** What was to be run. */
  readonly planned: number;
}

/** Runs all batches of a kind one after the other; rejects with the smallest part of a batch that still does harm. */
export async function fuzz<T>(kind: FuzzKind<T>): Promise<FuzzResult> {
  const size = Math.max(1, Math.round(kind.size * SCALE));
  say(`fuzz ${kind.name}: seed ${SEED}, ${kind.batches} batches of ${size}`);
  const startedAt = performance.now();
  const reports: Tried[] = [];
  let failed: { readonly batch: number; readonly cases: readonly T[] } | null = null;
  let cases = 0;
  {
    await using lab = await kind.open();
    for (let batch = 0; batch < kind.batches && failed === null; batch += 1) {
      if (ONLY_BATCH !== null && batch !== ONLY_BATCH) continue;
      const all = casesOf(kind.cases(lab), batch, size);
      const batchStartedAt = performance.now();
      const report = await tryBatch(kind, lab, all, batch, ENDS_WITHIN_MS).catch((error: unknown) => {
        throw new Error(failureOf(kind, batch, toError(error).message), { cause: error });
      });
      reports.push(report);
      say(`fuzz ${kind.name}, batch ${batch}: ${secondsSince(batchStartedAt)} s; ${costOf([report])}`);
      cases += all.length;
      if (report.wrong !== null) failed = { batch, cases: all };
    }
  }
  const last = reports.at(-1);
  if (failed !== null && last !== undefined) await explain(kind, failed.cases, failed.batch, last);
  say(`fuzz ${kind.name}: ${cases} cases in ${secondsSince(startedAt)} s; ${costOf(reports)}; ${sumOf(reports)}`);
  return { cases, planned: ONLY_BATCH === null ? kind.batches * size : size };
}

function secondsSince(startedAt: number): string {
  return ((performance.now() - startedAt) / 1_000).toFixed(1);
}

function costOf(reports: readonly BatchReport[]): string {
  const most = (of: (report: BatchReport) => number): number => Math.round(Math.max(...reports.map(of)));
  const [healthyMs, peakMb] = [most((one) => one.healthyMs), most((one) => one.peakMb)];
  return `a healthy host answered within ${healthyMs} ms, memory at most ${peakMb} MB`;
}

/** What is wrong, with the seed, the batch and the command that repeats it. */
function failureOf({ name, file }: Pick<FuzzKind<never>, "name" | "file">, batch: number, wrong: string): string {
  return `${name}, batch ${batch} of seed ${SEED}: ${wrong}\nrepeat it with: ${repeatCommand(file, batch)}`;
}

function sumOf(reports: readonly BatchReport[]): string {
  const sums = new Map<string, number>();
  for (const [how, count] of reports.flatMap(({ ends }) => Object.entries(ends)))
    sums.set(how, (sums.get(how) ?? 0) + count);
  return Array.from(sums, ([how, count]) => `${how} ${count}`).join(", ");
}

interface Tried extends BatchReport {
  /** Of the cases, those that the report names. */
  readonly named: readonly number[];
}

async function tryBatch<T>(
  kind: FuzzKind<T>,
  lab: Lab,
  cases: readonly T[],
  batch: number,
  withinMs: number,
): Promise<Tried> {
  const before = lab.target.received.length;
  const rows = cases.map((one, at) => kind.rowOf(one, at, lab));
  const ids = await kind.insert(lab, rows, idsOf(rows, batch), batch);
  const report = await lab.check(ids, withinMs, async () => {
    return (await kind.verify?.({ lab, cases, ids, received: lab.target.received.slice(before) })) ?? null;
  });
  const suspects = new Set(report.suspects);
  return {
    ...report,
    named: ids.flatMap((id, at) => (suspects.has(id) ? [at] : [])),
  };
}

/** Rejects with the smallest part of the batch that was found to fail: what is named in the report, or halves of it. */
async function explain<T>(kind: FuzzKind<T>, cases: readonly T[], batch: number, first: Tried): Promise<never> {
  const deadline = performance.now() + SHRINKS_WITHIN_MS;
  let [smallest, tried] = [cases, first];
  for (let isSmaller = true; isSmaller && smallest.length > 1;) {
    isSmaller = false;
    for (const part of partsOf(smallest, tried.named)) {
      if (performance.now() > deadline) break;
      // The failure to be explained counts, whatever prevents another try.
      const again = await tryAgain(kind, part, batch).catch(() => null);
      if (again === null || again.wrong === null) continue;
      [smallest, tried, isSmaller] = [part, again, true];
      break;
    }
  }
  const shown = smallest.slice(0, 5).map((one) => `  ${show(one)}`);
  const enough = `of ${cases.length} cases, ${smallest.length} are enough: ${tried.wrong}\n${shown.join("\n")}`;
  throw new Error(failureOf(kind, batch, `${first.wrong}\n${enough}`));
}

async function tryAgain<T>(kind: FuzzKind<T>, cases: readonly T[], batch: number): Promise<Tried> {
  await using lab = await kind.open();
  // Drawn again, so that what a lab counts with its cases stands as in the run.
  kind.cases(lab);
  return await tryBatch(kind, lab, cases, batch, ENDS_AGAIN_WITHIN_MS);
}

/** Smaller parts, the likeliest first. */
function partsOf<T>(cases: readonly T[], named: readonly number[]): readonly (readonly T[])[] {
  const half = Math.ceil(cases.length / 2);
  const suspects = named.slice(0, 3).flatMap((at) => cases.slice(at, at + 1));
  const halves = [cases.slice(0, half), cases.slice(half)];
  return suspects.length > 0 && suspects.length < cases.length
    ? [suspects.slice(0, 1), suspects, ...halves].filter((part) => part.length < cases.length)
    : halves;
}

/** A case as JSON, without the middle of what is long. */
function show(one: unknown): string {
  return JSON.stringify(one, (_key, value: unknown) =>
    typeof value === "string" && value.length > LONGEST_SHOWN
      ? `${value.slice(0, LONGEST_SHOWN / 2)} … (${value.length} characters) … ${value.slice(-LONGEST_SHOWN / 2)}`
      : value,
  );
}

const LONGEST_SHOWN = 400;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
