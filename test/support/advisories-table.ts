import type { Advisory } from "./advisories.ts";

/** The Markdown of one topic, as `docs/security.md` has it. */
export function advisoriesTable({
  topic,
  list,
}: {
  readonly topic: string;
  readonly list: readonly Advisory[];
}): string {
  const lines = list.map(({ id, product, was, here }) => `| ${id} | ${product} | ${was} | ${here} |`);
  return [`### ${topic}`, "", "| Advisory | Of | There | Here |", "|---|---|---|---|", ...lines, ""].join("\n");
}
