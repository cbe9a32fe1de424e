import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The repository's folder. */
export const ROOT: string = join(import.meta.dirname, "../..");

/** A fenced block of a Markdown file. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

/** A file of the repository as text. */
export async function readDocument(path: string): Promise<string> {
  return readFile(join(ROOT, path), "utf8");
}

/** The fenced blocks of a Markdown text in order. */
export function codeBlocks(markdown: string): readonly CodeBlock[] {
  return Array.from(markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm), ([, language = "", text = ""]) => ({
    language,
    text,
  }));
}

/** The statements of a block of SQL, with the SQLSTATE each is to end with, if any. */
export function sqlExamples(block: string): readonly { readonly text: string; readonly sqlstate: string | null }[] {
  return Array.from(block.matchAll(/([\s\S]*?);(?: -- (ERROR )?(.*))?\n/g), ([, text = "", error, remark = ""]) => ({
    text,
    sqlstate: error === undefined ? null : remark.trim(),
  }));
}

/** The targets of its links to files of the repository. */
export function fileLinks(markdown: string): readonly string[] {
  const targets = Array.from(markdown.matchAll(/\]\(([^)#\s]+)/g), ([, target = ""]) => target);
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}
