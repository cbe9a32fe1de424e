import { stripVTControlCharacters, styleText } from "node:util";

/** What a text means, and so its colour. */
export type Tone = "good" | "caution" | "bad" | "faint" | "strong";

const STYLES = { good: "green", caution: "yellow", bad: "red", faint: "dim", strong: "bold" } as const;

/** Colours `text` where standard output is a terminal; NO_COLOR and FORCE_COLOR are honoured. */
export function paint(tone: Tone, text: string): string {
  return styleText(STYLES[tone], text, { stream: process.stdout });
}

/** Text from elsewhere, such as names and errors, without what could control a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}

/** Rows of cells in columns; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => shownWidth(row[column] ?? ""))));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - shownWidth(cell)),
      )
      .join("  ")
      .trimEnd(),
  );
}

function shownWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}
