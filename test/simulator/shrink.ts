import { type History, play } from "./history.ts";
import type { Step } from "./steps.ts";

/** Most runs for one failure. */
const MOST_RUNS = 300;

/** What kind of harm it is, whatever the numbers in it. */
export function kindOf(harm: string | undefined): string {
  return (harm ?? "").replaceAll(/\d+/g, "#");
}

/** A shorter history that fails in the same way: without steps, requests and daemons that it does not need. */
export async function shrink(failing: History): Promise<History> {
  const kind = kindOf((await play(failing)).harms[0]);
  let runs = 0;
  let shortest = failing;
  const fails = async (history: History): Promise<boolean> => {
    if (runs >= MOST_RUNS) return false;
    runs++;
    const { harms } = await play(history);
    if (!harms.some((harm) => kindOf(harm) === kind)) return false;
    shortest = history;
    return true;
  };
  for (let before = Infinity; shortest.steps.length < before;) {
    before = shortest.steps.length;
    for (let size = Math.ceil(before / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < shortest.steps.length;) {
        if (!(await fails({ ...shortest, steps: without(shortest.steps, at, size) }))) at += size;
      }
    }
  }
  for (const [index, { act }] of shortest.steps.entries()) {
    if (act.kind !== "insert") continue;
    for (let count = act.rows.length; count > 1; count--) {
      const steps = shortest.steps.with(index, {
        ...(shortest.steps[index] ?? failing.steps[0] ?? { afterMs: 0 }),
        act: { ...act, rows: act.rows.slice(0, count - 1) },
      });
      if (!(await fails({ ...shortest, steps }))) break;
    }
  }
  await fails({ ...shortest, daemons: 1 });
  return shortest;
}

/** Without `size` steps from `at` on; those after them happen when they did. */
function without(steps: readonly Step[], at: number, size: number): readonly Step[] {
  const removedMs = steps.slice(at, at + size).reduce((sum, { afterMs }) => sum + afterMs, 0);
  const rest = steps.slice(at + size);
  const [next, ...later] = rest;
  const moved = next === undefined ? [] : [{ ...next, afterMs: next.afterMs + removedMs }, ...later];
  return [...steps.slice(0, at), ...moved];
}
