import fc from "fast-check";
import { expect, test } from "vitest";
import { type Lab, openLab } from "../support/fuzz-lab.ts";
import { perform } from "../support/fuzz-perform.ts";
import { type Reply, anyReply } from "../support/fuzz-reply.ts";
import { PLAIN_ROW, SECRET, insertRows, mostly } from "../support/fuzz-row.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { forbiddenUrl } from "../support/fuzz-url.ts";

interface Case {
  readonly reply: Reply;
  readonly method: string;
  readonly timeoutMs: number;
  readonly options: string | null;
}

const anyCase = (lab: Lab): fc.Arbitrary<Case> =>
  fc.record({
    reply: anyReply(forbiddenUrl(lab.canary.port)),
    method: fc.constantFrom("GET", "GET", "POST", "HEAD", "DELETE"),
    timeoutMs: fc.constantFrom(500, 1_000),
    options: mostly<string | null>(
      [4, fc.constant(null)],
      [1, fc.constantFrom('{"keep":"status"}', '{"keep":"headers"}', '{"max_redirects":0}', '{"max_redirects":50}')],
      [1, fc.constant('{"max_attempts":2,"retry_first_ms":1,"retry_max_ms":5}')],
    ),
  });

test("P5 P6 P12: whatever a server answers, its requests end once each, with their own answers, and disturb nobody", async () => {
  const replies = new Map<string, Reply>();
  const { cases, planned } = await fuzz<Case>({
    name: "replies",
    file: "fuzz-replies.test.ts",
    batches: 4,
    size: 2_000,
    open: () =>
      openLab({
        // Some of them hang until their time is up.
        env: { PGNETD_CONCURRENCY: "512", PGNETD_HOST_CONCURRENCY: "256" },
        answer: (socket, { head }) => {
          const number = / \/case\/(\d+)[? ]/.exec(head)?.[1] ?? "";
          const reply = replies.get(number);
          if (reply === undefined) socket.end();
          else void perform(socket, reply, number);
        },
      }),
    cases: anyCase,
    rowOf: ({ reply, method, timeoutMs, options }, at, lab) => {
      replies.set(String(at), reply);
      return {
        ...PLAIN_ROW,
        method,
        timeoutMs,
        options,
        url: `http://127.0.0.1:${lab.target.port}/case/${at}?${SECRET}`,
      };
    },
    async insert({ db }, rows, ids) {
      for (let at = 0; at < rows.length; at += 200)
        await insertRows(db, rows.slice(at, at + 200), ids.slice(at, at + 200));
      return ids;
    },
    async verify({ lab, ids }) {
      const answers = await lab.db.query<{ id: string; number: string }>(
        "select id::text, headers ->> 'X-Case' as number from net._http_response where headers ? 'X-Case'",
      );
      const others = answers.filter(({ id, number }) => /^\d{6}$/.test(number) && ids[Number(number)] !== id);
      return others.length === 0 ? null : `answers to others: ${JSON.stringify(others.slice(0, 5))}`;
    },
  });
  expect(cases).toBe(planned);
});
