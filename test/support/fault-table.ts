import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import type { FaultLine } from "./fault-report.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The file that collects the lines of the fault suite's table. */
    readonly faultReport: string;
  }
}

/** Collects what the fault tests counted; the returned function prints it as one table. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-faults-"));
  const file = join(folder, "lines");
  project.provide("faultReport", file);
  return async () => {
    const text = await readFile(file, "utf8").catch(() => "");
    await rm(folder, { recursive: true });
    const lines = text.split("\n").filter((line) => line !== "");
    if (lines.length > 0) process.stdout.write(faultTable(lines.map((line) => JSON.parse(line) as FaultLine)));
  };
}

const isText = (column: number): boolean => column === 0 || column > COLUMNS.length;

const COLUMNS = ["committed", "sent", "answered", "lost", "repeated"] as const;

/** The table as text, with a line of sums. */
export function faultTable(lines: readonly FaultLine[]): string {
  const sums = COLUMNS.map((column) => lines.reduce((sum, line) => sum + line[column], 0));
  const rows = lines.map((line) => [line.fault, ...COLUMNS.map((column) => String(line[column])), line.note]);
  const table = [["fault", ...COLUMNS, "note"], ...rows, ["all", ...sums.map(String), ""]];
  const widths = [0, 1, 2, 3, 4, 5].map((at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  const text = table.map((row) => {
    const cells = row.map((cell, at) => (isText(at) ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)));
    return cells.join("  ").trimEnd();
  });
  return `\n${text.join("\n")}\n\n`;
}
