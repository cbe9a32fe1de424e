import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { closeBrowser, HAS_CHROMIUM, openTab, seriousProblems } from "../support/browser.ts";
import { eventually } from "../support/eventually.ts";
import { ROOT } from "../support/markdown.ts";
import { watchPage } from "../support/page-client.ts";
import { openScene, type SceneName } from "../support/page-scenes.ts";

/** `npm run pictures` writes these into docs/pictures; the page is watched for as long before, so that its charts have something. */
const PICTURES: readonly string[] = [
  "idle-light",
  "flood-light",
  "dead-host-dark",
  "dead-host-phone",
  "slot-at-risk-light",
];
const IS_PICTURED = process.env["PAGE_PICTURES"] !== undefined;
const WATCHED_MS = 75_000;

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  phone: { colorScheme: "dark", viewport: { width: 390, height: 844 } },
} as const;

/** What the page must say before it is looked at. */
const SAYS: Readonly<Record<SceneName, RegExp>> = {
  idle: /Nothing waits/,
  flood: /wait for rate/,
  "dead-host": /dead\.localhost[\s\S]*connect, [\s\S]*503/,
  "slot-at-risk": /at risk/,
};

async function mainText(page: Page): Promise<string> {
  return page.locator("main").innerText();
}

afterAll(closeBrowser);

test.skipIf(!HAS_CHROMIUM).each(Object.keys(SAYS) as SceneName[])(
  "axe-core finds nothing serious and nothing is wider than the window, light, dark and on a phone: %s",
  async (name) => {
    await using scene = await openScene(name);
    // What is known is shown at once while somebody watches, and is read anew, every five seconds, after nobody did.
    using _watch = await watchPage(scene.address);
    // One tab that is loaded anew in each look: the window around a tab costs Chromium more than the page in it.
    await using tab = await openTab("about:blank");
    const { page, problems } = tab;
    for (const look of Object.keys(LOOKS) as (keyof typeof LOOKS)[]) {
      const { colorScheme, viewport } = LOOKS[look];
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await page.goto(scene.address, { waitUntil: "load" });
      await eventually(async () => {
        expect(await mainText(page)).toMatch(SAYS[name]);
        expect(await page.locator("canvas").count()).toBeGreaterThan(0);
        return true;
      }, 60_000);
      expect([look, await seriousProblems(page)]).toEqual([look, []]);
      const overflow = "document.documentElement.scrollWidth - window.innerWidth";
      expect([look, await page.evaluate<number>(overflow)]).toEqual([look, 0]);
      expect([look, problems]).toEqual([look, []]);
      if (!IS_PICTURED || !PICTURES.includes(`${name}-${look}`)) continue;
      await page.waitForTimeout(WATCHED_MS);
      const clip = { x: 0, y: 0, width: viewport.width, height: viewport.width < 1_000 ? 2_400 : 1_300 };
      await page.screenshot({ path: join(ROOT, "docs/pictures", `${name}-${look}.png`), fullPage: true, clip });
    }
  },
  IS_PICTURED ? 300_000 : 120_000,
);
