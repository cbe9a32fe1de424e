import { expect, test } from "vitest";
import { type Call, anyCall, makeCalls, prepareCalls } from "../support/fuzz-call.ts";
import { openLab } from "../support/fuzz-lab.ts";
import { PLAIN_ROW } from "../support/fuzz-row.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { always } from "../support/http-peer.ts";

/** What a wrong argument may end with: invalid parameter value, not null violation, time out of range. */
const REFUSALS: ReadonlySet<string> = new Set(["22023", "23502", "22008"]);

test("P2 P9: calls with any arguments are refused with a clear SQLSTATE, or end once each and disturb nobody", async () => {
  let calls: readonly Call[] = [];
  let refused: ReadonlySet<string> = new Set();
  const { cases, planned } = await fuzz<Call>({
    name: "calls",
    file: "fuzz-calls.test.ts",
    batches: 6,
    size: 2_000,
    async open() {
      const lab = await openLab({ answer: always("ok") });
      await prepareCalls(lab.db);
      return lab;
    },
    cases: anyCall,
    rowOf: (call, at) => {
      calls = at === 0 ? [call] : [...calls, call];
      return PLAIN_ROW;
    },
    async insert({ db }) {
      const ids: string[] = [];
      const states: string[] = [];
      for (let at = 0; at < calls.length; at += 250) {
        const made = await makeCalls(db, calls.slice(at, at + 250));
        ids.push(...made.ids);
        states.push(...made.sqlstates);
      }
      refused = new Set(states);
      return [...new Set(ids)];
    },
    verify: () => {
      const odd = [...refused].filter((state) => !REFUSALS.has(state));
      return Promise.resolve(odd.length === 0 ? null : `refused with ${odd.join(", ")}`);
    },
  });
  expect(cases).toBe(planned);
});
