import { answerTo } from "./destinations.ts";
import type { Account, Books } from "./books.ts";
import type { Plan } from "./draw.ts";
import type { Span } from "./journal.ts";
import { repeatsHarm } from "./repeats.ts";
import { isMisconduct } from "./steps.ts";

/** Something that should not have happened, with the request that it happened to. */
export interface Harm {
  readonly what: string;
  readonly account: Account | null;
}

/** What the books are held against. */
export interface Evidence {
  readonly plan: Plan;
  readonly books: Books;
  readonly spans: readonly Span[];
}

/** A request may start so much before it is due, in milliseconds: two clocks of one machine, and rounding. */
const EARLY_MS = 30;
/** A result is stored so soon after the time that it has, in milliseconds. */
const STORED_MS = 1_000;

/** Compares what was committed with what came of it. */
export function judgeBooks(evidence: Evidence): readonly Harm[] {
  const { books } = evidence;
  const harms: Harm[] = [];
  for (const id of books.strangers) harms.push({ what: `request ${id} has an end, and nobody made it`, account: null });
  for (const { key, destination } of books.uncommitted) {
    const ending = books.transactionOf(key)?.ending ?? "unknown";
    harms.push({ what: `P1: key ${key} came to destination ${destination} (${ending}), uncommitted`, account: null });
  }
  for (const account of books.accounts) {
    for (const judge of JUDGES) {
      const what = judge(account, evidence);
      if (what !== null) harms.push({ what, account });
    }
  }
  harms.push(...sharedKeys(books));
  return harms;
}

type Judge = (account: Account, evidence: Evidence) => string | null;

const JUDGES: readonly Judge[] = [
  oneEnd,
  afterCommit,
  oneKey,
  rightBody,
  repeatsHarm,
  rightAnswer,
  hasCause,
  notAfterCancellation,
  notBeforeDue,
  notAfterResult,
];

function oneEnd({ id, ends, waits }: Account): string | null {
  if (ends.length === 1 && !waits) return null;
  if (waits) return `P2: request ${id} still waits`;
  if (ends.length === 0) return `P2: request ${id} is lost: it was committed, and has no end`;
  return `P2: request ${id} has ${ends.length} ends: ${ends.map(({ kind }) => kind).join(", ")}`;
}

function afterCommit({ id, arrivals }: Account, { books }: Evidence): string | null {
  for (const { key, at } of arrivals) {
    const transaction = books.transactionOf(key);
    if (transaction !== undefined && at < transaction.commitAt) {
      return `P1: request ${id} came ${Math.round(transaction.commitAt - at)} ms before its commit was asked for`;
    }
  }
  return null;
}

function oneKey({ id, arrivals }: Account, { books }: Evidence): string | null {
  const keys = new Set(arrivals.map(({ idempotencyKey }) => idempotencyKey));
  if (keys.size > 1) return `P3: request ${id} came with different keys: ${[...keys].join(", ")}`;
  if (new Set(arrivals.map(({ key }) => key)).size > 1) return `request ${id} came with different urls`;
  const [first] = arrivals;
  if (first === undefined) return null;
  const isOwn = books.transactionOf(first.key)?.shape.ownKey ?? false;
  if (isOwn && first.idempotencyKey !== `own-${first.key}`) return `request ${id} lost the caller's Idempotency-Key`;
  if (first.method !== "GET" && first.idempotencyKey === null) return `P3: request ${id} came without a key`;
  return null;
}

function rightBody({ id, arrivals }: Account, { books }: Evidence): string | null {
  const wrong = arrivals.find(({ key, bodyBytes }) => bodyBytes !== books.transactionOf(key)?.shape.bodyBytes);
  return wrong === undefined ? null : `request ${id} came with ${wrong.bodyBytes} bytes`;
}

function rightAnswer({ id, ends, arrivals, keys }: Account): string | null {
  const answer = ends.find(({ kind, status }) => kind === "answered" && status === 200);
  if (answer === undefined) return null;
  if (arrivals.length === 0) return `request ${id} has an answer, and came nowhere`;
  if (arrivals.some(({ conduct }) => conduct === "slow")) return null;
  if (keys.some((key) => answer.content?.startsWith(answerTo(key)))) return null;
  return `request ${id} has the answer ${JSON.stringify(answer.content)}`;
}

/** Where destinations behave and no daemon stands still, what ends in an error has a reason in its shape. */
function hasCause({ id, ends, keys }: Account, { spans, books }: Evidence): string | null {
  if (spans.some(({ fault }) => isMisconduct(fault) || fault.kind === "pause")) return null;
  const bad = ends.find(({ kind, error, status }) => kind !== "cancelled" && (error !== null || status !== 200));
  if (bad === undefined) return null;
  const shape = books.transactionOf(keys[0] ?? 0)?.shape;
  if (shape !== undefined && shape.failures >= shape.maxAttempts && bad.status === 503) return null;
  return `request ${id} failed without a cause: ${bad.status ?? bad.error}`;
}

/** Where a commit waits for a standby, what it deletes is there for everybody else long after its statement. */
function commitsWait({ plan, spans }: Evidence): boolean {
  return plan.settings.waitForStandby === "all" && spans.some(({ fault }) => fault.kind === "absent standby");
}

/** What is cancelled long before it is due cannot be in memory or in flight. */
function notAfterCancellation({ id, ends, arrivals }: Account, evidence: Evidence): string | null {
  if (commitsWait(evidence)) return null;
  const gone = ends.find(({ kind, due, at }) => kind === "cancelled" && due !== null && due > at + STORED_MS);
  if (gone === undefined || !arrivals.some(({ at }) => at > gone.at + STORED_MS)) return null;
  return `request ${id} was sent after it was cancelled, long before it was due`;
}

function notBeforeDue({ id, keys, arrivals }: Account, { books }: Evidence): string | null {
  const [first] = arrivals;
  const transaction = books.transactionOf(keys[0] ?? 0);
  if (keys.length > 1 || first === undefined || transaction === undefined) return null;
  const earlyMs = transaction.begunAt + (transaction.shape.delayMs ?? 0) - first.at;
  return earlyMs > EARLY_MS ? `request ${id} came ${Math.round(earlyMs)} ms before it was due` : null;
}

function notAfterResult({ id, ends, arrivals }: Account, evidence: Evidence): string | null {
  if (commitsWait(evidence)) return null;
  const end = ends.find(({ kind }) => kind !== "cancelled");
  const late = end === undefined ? undefined : arrivals.find(({ at }) => at > end.at + STORED_MS);
  if (end === undefined || late === undefined) return null;
  return `P3: request ${id} was sent ${Math.round(late.at - end.at)} ms after its result was stored`;
}

function sharedKeys({ accounts }: Books): readonly Harm[] {
  const owners = new Map<string, Account>();
  const harms: Harm[] = [];
  for (const account of accounts) {
    const key = account.arrivals[0]?.idempotencyKey ?? null;
    if (key === null) continue;
    const other = owners.get(key);
    if (other !== undefined)
      harms.push({ what: `P3: requests ${other.id} and ${account.id} share the key ${key}`, account });
    owners.set(key, account);
  }
  return harms;
}
