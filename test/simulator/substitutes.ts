import { registerHooks } from "node:module";

/** A change of one module's text: the rule that it switches off is then missing. */
export interface Patch {
  /** Under `src`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const SRC = new URL("../../src/", import.meta.url).href;

/** What sends requests: the simulation has its own destinations. */
const SUBSTITUTES: ReadonlyMap<string, string> = new Map([
  [`${SRC}http/mode.ts`, new URL("destinations.ts", import.meta.url).href],
]);

function textOf(source: unknown): string {
  if (typeof source === "string") return source;
  if (source instanceof Uint8Array) return Buffer.from(source).toString();
  throw new TypeError("a module without a text");
}

/** From now on modules are loaded with `patches`, and with the parts of the simulation in the place of those it replaces. */
export function substitute(patches: readonly Patch[]): void {
  registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context);
      const url = SUBSTITUTES.get(resolved.url);
      return url === undefined ? resolved : { ...resolved, url };
    },
    load: (url, context, next) => {
      const loaded = next(url, context);
      const own = patches.filter(({ file }) => url === SRC + file);
      if (own.length === 0) return loaded;
      const text = own.reduce((source, { file, from, to }) => {
        if (source.split(from).length !== 2) throw new Error(`${file} does not have this once: ${from}`);
        return source.replace(from, () => to);
      }, textOf(loaded.source));
      return { ...loaded, source: text };
    },
  });
}
