import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const { resolve } = createRequire(import.meta.url);

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

type Source = readonly [type: string, file: string | URL];

/** Every file that is served, by its path: no path leads to a file that is not named here. */
const FILES: ReadonlyMap<string, Source> = new Map<string, Source>([
  ["/", [HTML, asset("index.html")]],
  ["/page/style.css", [CSS, asset("style.css")]],
  ["/page/icon.svg", ["image/svg+xml", asset("icon.svg")]],
  ...["main", "element", "format", "overview", "charts", "tables", "actions", "search"].map(
    (name): [string, Source] => [`/page/${name}.js`, [SCRIPT, asset(`${name}.js`)]],
  ),
  ["/page/uplot.js", [SCRIPT, resolve("uplot/dist/uPlot.esm.js")]],
  ["/page/uplot.css", [CSS, resolve("uplot/dist/uPlot.min.css")]],
]);

function asset(name: string): URL {
  return new URL(`assets/${name}`, import.meta.url);
}

/** A file as it is served. */
export interface ServedFile {
  readonly type: string;
  readonly content: Buffer;
}

const contents = new Map<string, Buffer>();

/** The file at `path`, read from disk once it could be; null where there is none. */
export async function fileAt(path: string): Promise<ServedFile | null> {
  const found = FILES.get(path);
  if (found === undefined) return null;
  const [type, file] = found;
  const content = contents.get(path) ?? (await readFile(file));
  contents.set(path, content);
  return { type, content };
}

/**
 * Of every answer of the page. No script and no style but the files above, nothing from elsewhere, nothing embeds it; and no text
 * becomes HTML: browsers that know trusted types refuse it.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
};
