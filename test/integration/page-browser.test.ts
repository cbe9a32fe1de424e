import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { closeBrowser, HAS_CHROMIUM, openTab } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { startDaemon } from "../support/daemon.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { watchPage } from "../support/page-client.ts";
import { testDatabase, testServer } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { startStandby } from "../support/standby.ts";

const TOKEN = "a-token-of-the-test-0123";
const MARKUP = "<img src=x onerror=window.ran=1><script>window.ran=1</script>";

/** The number that the tile with this name shows. */
async function tile(page: Page, name: string): Promise<number> {
  const text = await page
    .locator("#now > div", { has: page.getByText(name, { exact: true }) })
    .locator("dd > span")
    .textContent();
  return Number((text ?? "").replaceAll(",", ""));
}

afterAll(closeBrowser);

test.skipIf(!HAS_CHROMIUM)(
  "what the page shows in a browser is what SQL says, and markup in a row is shown as text",
  async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", status: 500, body: MARKUP });
    await db.query("insert into net.http_host_settings (host, paused) values ('paused.example', true)");
    await using daemon = await startInProcess(db.url, { PGNETD_PAGE_URLS: "path" });
    await db.query("insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', $1, 5000)", [
      receiver.url(`/${MARKUP}`),
    ]);
    await db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 1)", [receiver.url()]);
    await emptied(db);
    await db.query(
      "select net.http_request('GET', 'https://paused.example/a', lane := $1) from generate_series(1, 3)",
      [MARKUP],
    );
    await using tab = await openTab(daemon.address);
    const { page } = tab;
    await eventually(async () => {
      expect(await tile(page, "In the outbox")).toBe(3);
      expect(await tile(page, "Dead letters")).toBe(1);
      expect(await page.locator("#lanes tbody tr").count()).toBe(1);
      expect(await page.locator("#failures tbody tr").count()).toBe(1);
      expect(await page.locator("#dead tbody tr").count()).toBe(1);
      return true;
    }, 20_000);
    expect(await page.locator("#state").textContent()).toBe("live");
    expect(await page.locator("#lanes tbody td").first().textContent()).toBe(`paused.example ${MARKUP}`);
    expect(await page.locator("main img, main script").count()).toBe(0);
    expect(await page.evaluate("window.ran")).toBeUndefined();
    await page.getByLabel(/Request id/).fill(receiver.url());
    await page.keyboard.press("Enter");
    await eventually(async () => (await page.locator("#found tbody tr").count()) === 2);
    expect(await page.getByRole("button", { name: /Pause|Resume|Replay|Cancel/ }).count()).toBe(0);
    expect(tab.problems).toEqual([]);
  },
);

const RECORD_TEXTS = `window.drawn = [];
const { fillText } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.drawn.push(text);
  return fillText.call(this, text, ...rest);
};`;

test.skipIf(!HAS_CHROMIUM)("the scale of a chart has marks where answers take seconds", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const late = Promise.withResolvers<undefined>();
  receiver.behave({ kind: "answer", after: late.promise });
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_get($1)", [receiver.url()]);
  await receiver.waitFor(1);
  await delay(1_100);
  late.resolve(undefined);
  await emptied(db);
  await using tab = await openTab(daemon.address);
  await tab.page.addInitScript(RECORD_TEXTS);
  await tab.page.reload();
  // The 99th percentile of one answer after more than 1 s is within the bucket that ends at 2.5 s; no other chart has so long a time.
  await eventually(async () => {
    expect(await tab.page.evaluate<string[]>("window.drawn")).toContain("2 s");
    return true;
  }, 20_000);
});

test.skipIf(!HAS_CHROMIUM)(
  "the page says that its numbers are old and the daemon does not answer while it hangs, and no longer",
  async () => {
    await using db = await testDatabase();
    await using daemon = await startDaemon({ databaseUrl: db.url });
    await using tab = await openTab(daemon.address);
    const connection = async (): Promise<string> => (await tab.page.locator("#connection").textContent()) ?? "";
    await eventually(async () => (await tab.page.locator("#state").textContent()) === "live");
    await eventually(async () => (await connection()) === "connected");
    daemon.signal("SIGSTOP");
    await eventually(async () => /^the daemon does not answer; the numbers are of \d/.test(await connection()), 30_000);
    const { page } = tab;
    expect(await page.locator("#state").textContent()).toBe("not answering");
    expect(await page.locator("#state").getAttribute("class")).toBe("badge bad");
    expect(await page.locator("#detail").textContent()).toContain("whether requests are sent is not known here");
    expect(await page.title()).toMatch(/^not answering – \S+ – pgnetd$/);
    daemon.signal("SIGCONT");
    await eventually(async () => {
      expect(await connection()).toBe("connected");
      expect(await page.locator("#state").textContent()).toBe("live");
      expect(await page.title()).toMatch(/^live – \S+ – pgnetd$/);
      return true;
    }, 30_000);
    await daemon.kill();
    await eventually(async () => (await page.locator("#state").textContent()) === "not answering", 30_000);
  },
);

test.skipIf(!HAS_CHROMIUM)(
  "a dead host and a full disk are seen in the first line, and no longer when they are mended",
  async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using daemon = await startInProcess(db.url);
    await using tab = await openTab(daemon.address);
    const failed = tab.page.locator("#now > div", { hasText: "Failed tries" }).locator("dd");
    const state = async (): Promise<string | null> => tab.page.locator("#state").textContent();
    await eventually(async () => (await failed.textContent()) === "0of 0 in a minute");
    expect(await failed.getAttribute("class")).toBe("");
    await db.query("select net.http_get($1) from generate_series(1, 20)", [`http://127.0.0.1:${await freePort()}/`]);
    await db.query("select net.http_get($1) from generate_series(1, 10)", [receiver.url()]);
    await eventually(async () => (await failed.textContent()) === "20of 30 in a minute", 20_000);
    expect(await failed.getAttribute("class")).toBe("bad");
    await db.query(`create function public.full() returns trigger language plpgsql as
    $$ begin raise exception 'No space left on device' using errcode = '53100'; end $$`);
    await db.query(
      "create trigger full_disk before insert on net._http_response for each row execute function public.full()",
    );
    await db.query("select net.http_get($1)", [receiver.url()]);
    await eventually(async () => (await state()) === "live, stalled");
    expect(await tab.page.locator("#state").getAttribute("class")).toBe("badge bad");
    await db.query("drop trigger full_disk on net._http_response");
    await eventually(async () => (await state()) === "live");
  },
);

test.skipIf(!HAS_CHROMIUM)("a session that has the leader's lock and is no pgnetd is shown as an alarm", async () => {
  await using db = await testDatabase();
  const role = `${db.name}_stranger`;
  await db.query(`create role ${role} login password 'secret'`);
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  const stranger = new pg.Client({ connectionString: url.href });
  await stranger.connect();
  try {
    await stranger.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    await using daemon = await startInProcess(db.url, {}, "standby");
    await using tab = await openTab(daemon.address);
    const leader = tab.page.locator("#now > div", { has: tab.page.getByText("Leader", { exact: true }) }).locator("dd");
    await eventually(async () => ((await leader.textContent()) ?? "").startsWith("no pgnetd"));
    expect(await leader.textContent()).toMatch(/^no pgnetdpid \d+.* has the lock$/);
    expect(await leader.getAttribute("class")).toBe("bad");
  } finally {
    await stranger.end();
    await db.query(`drop role ${role}`);
  }
});

test.skipIf(!HAS_CHROMIUM)(
  "a standby server, which nothing can be sent from, is shown as an alarm though it answers",
  async () => {
    await using primary = await testServer({ wal_level: "logical" });
    await migrate(primary.url());
    await using standby = await startStandby(primary);
    await using daemon = await startInProcess(standby.url(), {}, "starting");
    await using tab = await openTab(daemon.address);
    const { page } = tab;
    const database = page.locator("#now > div", { has: page.getByText("Database", { exact: true }) }).locator("dd");
    await eventually(async () => {
      expect(await database.textContent()).toBe("answersnothing is sent yet");
      expect(await database.getAttribute("class")).toBe("bad");
      expect(await page.locator("#detail").textContent()).toContain("this is a standby server");
      return true;
    }, 20_000);
    expect(await page.locator("#state").getAttribute("class")).toBe("badge bad");
  },
);

test.skipIf(!HAS_CHROMIUM)("a host is paused, resumed and a dead letter replayed with the keyboard alone", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 500 });
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
  await db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 1)", [receiver.url()]);
  await eventually(async () => (await db.query("select from net.http_dead_letter")).length === 1);
  await db.query("select net.http_request('GET', $1, delay := '1 hour')", [receiver.url()]);
  await using tab = await openTab(daemon.address);
  const { page } = tab;
  page.on("dialog", (dialog) => void dialog.accept());
  const isPaused = async (): Promise<boolean> =>
    (await db.query("select from net.http_host_settings where paused")).length === 1;
  const pause = page.getByRole("button", { name: "Pause 127.0.0.1" });
  await pause.press("Enter");
  await eventually(async () => (await page.locator("#message").textContent()) === "Enter the token first.");
  expect(await isPaused()).toBe(false);
  await page.keyboard.type(TOKEN);
  await pause.press("Enter");
  await eventually(isPaused);
  // The rows are made anew with each reading: the focus stays on the host's button.
  await eventually(() => page.evaluate<boolean>("document.activeElement.textContent === 'Resume'"));
  await page.keyboard.press("Enter");
  await eventually(async () => !(await isPaused()));
  receiver.behave({ kind: "answer" });
  await page.getByRole("button", { name: /^Replay/ }).press("Enter");
  await eventually(async () => (await db.query("select from net.http_dead_letter")).length === 0);
  await eventually(async () => (await page.locator("#dead").textContent()) === "None.");
  expect(tab.problems).toEqual([]);
});

test.skipIf(!HAS_CHROMIUM)("a flood shows as a flood", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "20" });
  await using tab = await openTab(daemon.address);
  const { page } = tab;
  await eventually(async () => (await tile(page, "In the outbox")) === 0);
  await db.query("select net.http_get($1) from generate_series(1, 900)", [receiver.url()]);
  await eventually(async () => {
    expect(await tile(page, "In the outbox")).toBeGreaterThan(400);
    const rate = await tile(page, "Starts per second");
    expect(rate).toBeGreaterThan(5);
    expect(rate).toBeLessThanOrEqual(40);
    expect(await page.locator("#now").textContent()).toContain("limit 20");
    expect(await page.locator("#now").textContent()).toContain("wait for rate");
    expect(await page.locator("#lanes tbody tr").count()).toBe(1);
    return true;
  }, 20_000);
  await eventually(async () => /rows [1-9]\d\d/.test((await page.locator("#charts").textContent()) ?? ""), 15_000);
  await db.query("truncate net.http_request_queue");
});

/** What has the focus after each press of Tab, once round the page, and whether it shows. */
async function roundByTab(page: Page): Promise<readonly { readonly name: string; readonly isShown: boolean }[]> {
  const seen: { name: string; isShown: boolean }[] = [];
  for (let pressed = 0; pressed < 100; pressed++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate<{ name: string; isShown: boolean } | null>(`(() => {
      const one = document.activeElement;
      if (one === null || one === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(one);
      const { width, height, left } = one.getBoundingClientRect();
      const name = one.getAttribute("aria-label") ?? (one.id || one.textContent);
      return { name, isShown: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0 && left >= 0 };
    })()`);
    if (focused === null) return seen;
    seen.push(focused);
  }
  return seen;
}

test.skipIf(!HAS_CHROMIUM)(
  "buttons are there at once, also where the tables come before the first numbers",
  async () => {
    await using db = await testDatabase();
    await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
    await db.query("select net.http_request('GET', 'https://later.example/', delay := '1 hour')");
    using watch = await watchPage(daemon.address);
    const body = await eventually(() => {
      const [frame, lists] = ["frame", "lists"].map((name) => JSON.stringify(watch.latest.get(name)));
      const isKnown = frame !== undefined && lists?.includes("later.example") === true;
      return isKnown && `event: lists\ndata: ${lists}\n\nevent: frame\ndata: ${frame}\n\n`;
    }, 20_000);
    await using tab = await openTab("about:blank");
    const { page } = tab;
    let asked = 0;
    await page.route("**/page/events", (route) =>
      asked++ === 0 ? route.fulfill({ contentType: "text/event-stream", body }) : route.abort(),
    );
    await page.goto(daemon.address);
    await eventually(async () => (await page.locator("#state").textContent()) !== "connecting");
    expect(await page.getByRole("button", { name: "Pause later.example" }).count()).toBe(1);
  },
);

test.skipIf(!HAS_CHROMIUM)("every action is reached with Tab, and the focus shows wherever it is", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", status: 500 });
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_TOKEN: TOKEN });
  await db.query("select net.http_request('GET', $1, max_attempts := 2, retry_first_ms := 1)", [receiver.url()]);
  await eventually(async () => (await db.query("select from net.http_dead_letter")).length === 1);
  const [waits] = await db.query<{ id: string }>("select net.http_request('GET', $1, delay := '1 hour')::text as id", [
    receiver.url(),
  ]);
  await using tab = await openTab(daemon.address);
  const { page } = tab;
  await eventually(async () => (await page.locator("#lanes tbody tr, #dead tbody tr").count()) === 2, 20_000);
  await page.getByLabel(/Request id/).fill(waits?.id ?? "");
  await page.keyboard.press("Enter");
  await eventually(async () => (await page.locator("#found tbody tr").count()) === 1);
  await page.locator(".skip").focus();
  const focused = await roundByTab(page);
  expect(focused.filter(({ isShown }) => !isShown)).toEqual([]);
  const names = focused.map(({ name }) => name);
  for (const name of [/^Pause 127/, /^Replay request/, /^query$/, /^Search$/, /^Cancel request/, /^token$/, /^wake$/]) {
    expect(names).toContainEqual(expect.stringMatching(name));
  }
});

test.skipIf(!HAS_CHROMIUM)("a browser that was given the password shows the page, and follows its events", async () => {
  await using db = await testDatabase();
  const reading = "a-token-for-reading-0123";
  await using daemon = await startInProcess(db.url, { PGNETD_PAGE_READ_TOKEN: reading, PGNETD_PAGE_TOKEN: TOKEN });
  await using tab = await openTab(daemon.address, { username: "any", password: reading });
  const { page } = tab;
  await eventually(async () => (await page.locator("#state").textContent()) === "live");
  await page.getByLabel(/^Token/).fill(TOKEN);
  await page.getByRole("button", { name: "Read the outbox now" }).press("Enter");
  await eventually(async () => (await page.locator("#message").textContent()) === "the outbox is read");
  expect(tab.problems).toEqual([]);
});
