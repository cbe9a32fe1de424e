import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const CAPTURE = { PGNETD_HTTP_MODE: "capture" };

interface Answer {
  readonly status_code: number | null;
  readonly mode: string | null;
  readonly request: Readonly<Record<string, unknown>>;
}

test("with http.mode capture requests end as answers that show them, and none arrives anywhere", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, CAPTURE);
  await db.query(
    `select net.http_post($1, '{"item": "tea"}', '{"q": "a b"}', '{"X-Key": "s3cret"}'),
      net.http_get('https://no-such-host.invalid/'), net.http_get('http://169.254.169.254/latest/meta-data')`,
    [receiver.url("/orders")],
  );
  const answers = await eventually(async () => {
    const rows = await db.query<Answer>(
      `select status_code, headers ->> 'X-Pgnetd-Mode' as mode, content::jsonb as request
      from net._http_response order by id`,
    );
    return rows.length === 3 && rows;
  });
  expect(answers.map(({ status_code, mode }) => ({ status_code, mode }))).toEqual(
    Array.from({ length: 3 }, () => ({ status_code: 200, mode: "capture" })),
  );
  const [post, name, address] = answers.map(({ request }) => request);
  expect(post).toMatchObject({
    method: "POST",
    url: receiver.url("/orders?q=a%20b"),
    body: '{"item": "tea"}',
    headers: { "X-Key": "s3cret", "Content-Type": "application/json" },
  });
  expect(name).toMatchObject({ method: "GET", url: "https://no-such-host.invalid/", body: null });
  expect(address).toMatchObject({ url: "http://169.254.169.254/latest/meta-data" });
  expect(await db.query("select from net.http_request_queue")).toEqual([]);
  expect([receiver.connections, receiver.requests.length]).toEqual([0, 0]);

  // It is said where an operator looks; header values and bodies stay out of the log (P11).
  expect(daemon.lines).toContainEqual({
    mode: "capture",
    message: "requests are recorded as answers: nothing is sent",
  });
  expect(await (await fetch(`${daemon.address}/readyz`)).json()).toMatchObject({ mode: "capture" });
  expect(JSON.stringify(daemon.lines)).not.toMatch(/s3cret|tea/);
});

test("P7: with http.mode capture the rate holds as it does when sending", async () => {
  await using db = await testDatabase();
  await using _daemon = await startInProcess(db.url, { ...CAPTURE, PGNETD_RATE_PER_SECOND: "10" });
  await db.query("select net.http_get('http://h/' || g) from generate_series(1, 21) g");
  const took = await eventually(async () => {
    const [row] = await db.query<{ count: number; seconds: number }>(
      `select count(*)::int, extract(epoch from max(created) - min(created))::float8 as seconds from net._http_response`,
    );
    return row?.count === 21 && row.seconds;
  });
  // The answers are written in batches, a moment after.
  expect(took).toBeGreaterThan(1.8);
});
