import { expect, test } from "vitest";
import { anyRow } from "../support/fuzz-any-row.ts";
import { openLab } from "../support/fuzz-lab.ts";
import { insertRows } from "../support/fuzz-row.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { response } from "../support/http-peer.ts";

const ANSWER = response("ok", ["Content-Type: text/plain"]);

test("P2 P5 P11: rows of any content, inserted by hand, end once each and disturb nobody", async () => {
  const { cases, planned } = await fuzz({
    name: "rows",
    file: "fuzz-rows.test.ts",
    batches: 12,
    size: 5_000,
    open: () => openLab({ answer: (socket) => socket.write(ANSWER) }),
    cases: anyRow,
    rowOf: (row) => row,
    // In turns: one transaction, more than memory holds, so that sweeps read it; and many that are streamed.
    async insert({ db }, rows, ids, batch) {
      const step = batch % 2 === 0 ? rows.length : 200;
      for (let at = 0; at < rows.length; at += step)
        await insertRows(db, rows.slice(at, at + step), ids.slice(at, at + step));
      return ids;
    },
  });
  expect(cases).toBe(planned);
});
