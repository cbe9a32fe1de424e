import { expect, test } from "vitest";
import { openLab } from "../support/fuzz-lab.ts";
import { PLAIN_ROW, insertRows } from "../support/fuzz-row.ts";
import { fuzz } from "../support/fuzz-run.ts";
import { forbiddenUrl } from "../support/fuzz-url.ts";
import { always } from "../support/http-peer.ts";

test("P12: no spelling of an address that is not allowed reaches it", async () => {
  const { cases, planned } = await fuzz<string>({
    name: "urls",
    file: "fuzz-urls.test.ts",
    batches: 5,
    size: 4_000,
    open: () => openLab({ answer: always("ok") }),
    cases: (lab) => forbiddenUrl(lab.canary.port),
    rowOf: (url) => ({ ...PLAIN_ROW, url }),
    async insert({ db }, rows, ids) {
      for (let at = 0; at < rows.length; at += 500)
        await insertRows(db, rows.slice(at, at + 500), ids.slice(at, at + 500));
      return ids;
    },
    async verify({ lab }) {
      const answered = await lab.db.query("select url from net.http_response_detail where error_code is null limit 3");
      return answered.length === 0 ? null : `answered: ${JSON.stringify(answered)}`;
    },
  });
  expect(cases).toBe(planned);
});

test("P12: the fuzz run notices a connection to an address that is not allowed", async () => {
  await using lab = await openLab({
    answer: always("ok"),
    env: { PGNETD_ALLOW_NETWORKS: "127.0.0.1/32,127.0.0.2/32" },
  });
  const url = `http://2130706434:${lab.canary.port}/`;
  await insertRows(lab.db, [{ ...PLAIN_ROW, url, timeoutMs: 200 }], ["1"]);
  const { wrong } = await lab.check(["1"], 30_000);
  expect(wrong).toMatch(/^forbidden: .*127\.0\.0\.2: GET \//m);
});
