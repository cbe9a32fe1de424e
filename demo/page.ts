import { styleText } from "node:util";

/** Writes the demo's page: plain where output is not a terminal or NO_COLOR is set. */
export interface Page {
  heading(text: string): void;
  /** A step that is done, how long it took and where to find its result. */
  done(what: string, ms: number, where?: string): void;
  /** A block as it is, such as SQL. */
  block(text: string): void;
  line(text: string): void;
  /** Rows as psql shows them. */
  table(rows: readonly Readonly<Record<string, unknown>>[]): void;
}

/** A page whose lines go to `print`. */
export function openPage(print: (line: string) => void): Page {
  const dim = (text: string): string => styleText("dim", text);
  const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, "    ");
  return {
    heading: (text) => print(`\n${styleText("bold", text)}\n`),
    done: (what, ms, where = "") => {
      const took = dim(`${(ms / 1000).toFixed(1)} s`.padStart(6));
      print(`  ${styleText("green", "✓")} ${what.padEnd(24)}${took}  ${where}`.trimEnd());
    },
    block: (text) => print(styleText("cyan", indented(text))),
    line: (text) => print(indented(text)),
    table: (rows) => print(indented(formatRows(rows))),
  };
}

/** Aligned columns under their names; numbers to the right, null left empty. */
export function formatRows(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => names.map((name) => cell(row[name])));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const format = (row: readonly string[]): string =>
    row
      .map((text, i) => (/^-?\d+$/.test(text) ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return [format(names), format(widths.map((width) => "─".repeat(width))), ...cells.map(format)].join("\n");
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
