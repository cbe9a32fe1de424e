import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, chromium, type HTTPCredentials, type Page } from "playwright-core";

const PLACES = [
  process.env["CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const FOUND = PLACES.find((path) => path !== "" && existsSync(path));

/** Whether there is a Chromium on this machine. In CI there must be one. */
export const HAS_CHROMIUM: boolean = FOUND !== undefined || process.env["CI"] !== undefined;

if (!HAS_CHROMIUM) {
  process.stderr.write(
    "\nSKIPPED: no Chromium (apt-get install chromium, or its path in CHROMIUM): the page is tested in no browser\n\n",
  );
}

/** One browser for all tests of a file: its start takes longer than most of what is done in it. */
let started: Promise<Browser> | null = null;

async function theBrowser(): Promise<Browser> {
  const running = await started?.catch(() => null);
  if (running?.isConnected() === true) return running;
  started = chromium.launch({
    ...(FOUND !== undefined && { executablePath: FOUND }),
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  return started;
}

/** For `afterAll` of a file with tabs: modules outlive the files of a worker. */
export async function closeBrowser(): Promise<void> {
  await (await started?.catch(() => null))?.close();
}

/** A tab of a real browser. */
export interface OpenTab extends AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts, and what the policy of the page refused. */
  readonly problems: readonly string[];
}

/** The window for all tabs of a file: one for each takes Chromium longer than most pages. A first tab keeps it open. */
let shared: Promise<BrowserContext> | null = null;

async function theWindow(): Promise<BrowserContext> {
  const browser = await theBrowser();
  const there = await shared?.catch(() => null);
  if (there?.browser() === browser) return there;
  shared = browser.newContext().then(async (context) => {
    await context.newPage();
    return context;
  });
  return shared;
}

/** Opens `address` in Chromium. The page of each daemon is an origin of its own, by its port, and sees nothing of what others have stored. */
export async function openTab(address: string, credentials?: HTTPCredentials): Promise<OpenTab> {
  const own = credentials && (await (await theBrowser()).newContext({ httpCredentials: credentials }));
  const page = await (own ?? (await theWindow())).newPage();
  const close = async (): Promise<void> => {
    await page.close();
    await own?.close();
  };
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  try {
    await page.goto(address, { waitUntil: "load" });
    return { page, problems, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What axe-core finds serious or critical: the id of each rule, and the elements. */
export async function seriousProblems(page: Page): Promise<readonly string[]> {
  const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(source);
  const { violations } = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { target: string[] }[] }[];
  }>("axe.run()");
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}
