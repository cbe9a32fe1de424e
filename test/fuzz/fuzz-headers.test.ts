import fc from "fast-check";
import { expect, test } from "vitest";
import { hostileHeaders } from "../support/fuzz-json.ts";
import { openLab } from "../support/fuzz-lab.ts";
import { PLAIN_ROW, SECRET, insertRows } from "../support/fuzz-row.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { always } from "../support/http-peer.ts";

const HEAD = /^(GET|POST|PUT|PATCH|DELETE|HEAD) \/case\/(\d+)\?S3CR3T-marker HTTP\/1\.1\r\n/;

test("P3: whatever is in the headers of a row, its request is one request, and with those headers alone", async () => {
  const { cases, planned } = await fuzz<{ readonly method: string; readonly headers: string }>({
    name: "headers",
    file: "fuzz-headers.test.ts",
    batches: 4,
    size: 3_000,
    open: () => openLab({ answer: always("ok") }),
    cases: () =>
      fc.record({
        method: fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"),
        headers: hostileHeaders,
      }),
    rowOf: ({ method, headers }, at, lab) => ({
      ...PLAIN_ROW,
      method,
      headers,
      url: `http://127.0.0.1:${lab.target.port}/case/${at}?${SECRET}`,
      body: Buffer.from(`body of ${at}`),
    }),
    async insert({ db }, rows, ids) {
      await insertRows(db, rows, ids);
      return ids;
    },
    verify({ received }) {
      const seen = new Set<string>();
      for (const { head, body } of received) {
        const [, method = "", at = ""] = HEAD.exec(head) ?? [];
        const expected = method === "GET" || method === "HEAD" ? "" : `body of ${at}`;
        const isOwn = at !== "" && !seen.has(at) && body.toString() === expected && !/^X-Injected/im.test(head);
        if (!isOwn) return Promise.resolve(`received: ${JSON.stringify(head.slice(0, 500))} ${body.toString()}`);
        seen.add(at);
      }
      return Promise.resolve(null);
    },
  });
  expect(cases).toBe(planned);
});
