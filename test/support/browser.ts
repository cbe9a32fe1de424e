import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

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

/** A tab of a real browser that shares nothing with others, cookies and storage included. */
export interface OpenTab extends AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts, and what the policy of the page refused. */
  readonly problems: readonly string[];
}

/** Opens `address` in Chromium. */
export async function openTab(address: string, options: BrowserContextOptions = {}): Promise<OpenTab> {
  const context = await (await theBrowser()).newContext(options);
  const problems: string[] = [];
  try {
    const page = await context.newPage();
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    await page.goto(address, { waitUntil: "load" });
    return { page, problems, [Symbol.asyncDispose]: () => context.close() };
  } catch (error) {
    await context.close();
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
