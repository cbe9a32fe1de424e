import { readFileSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { z } from "zod";
import { promtool, SKIPS_PROMTOOL } from "../support/promtool.ts";

const dashboardSchema = z.object({
  panels: z.array(
    z.object({
      title: z.string(),
      targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
    }),
  ),
});
const DASHBOARD = dashboardSchema.parse(
  JSON.parse(readFileSync(join(import.meta.dirname, "../../config/grafana/pgnetd.json"), "utf8")),
);

/** The expression of a panel, of all databases. */
function exprOf(title: string, legend: string): string {
  const targets = DASHBOARD.panels.find((panel) => panel.title === title)?.targets ?? [];
  const found = targets.find(({ legendFormat }) => legendFormat === legend);
  expect(found, `${title}: ${legend}`).toBeDefined();
  return (found?.expr ?? "").replaceAll("$database", ".*");
}

type Series = Readonly<Record<string, readonly [shopLeader: string, shopStandby: string, mail: string]>>;

/** What promtool says of panels that show these values at ten minutes, of a database with two daemons and another with one. */
async function shown(series: Series, panels: readonly (readonly [string, string, number | null])[]): Promise<string> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "pgnetd-dashboard-"));
  const labels = ['database="shop", instance="a"', 'database="shop", instance="b"', 'database="mail", instance="c"'];
  const tests = {
    interval: "30s",
    input_series: Object.entries(series).flatMap(([name, values]) =>
      values.map((value, at) => ({ series: `${name}{${labels[at]}}`, values: value })),
    ),
    promql_expr_test: panels.map(([title, legend, value]) => ({
      eval_time: "10m",
      expr: exprOf(title, legend),
      exp_samples: value === null ? [] : [{ labels: "{}", value }],
    })),
  };
  await writeFile(join(folder.path, "test.yaml"), stringify({ evaluation_interval: "30s", tests: [tests] }));
  return await promtool(folder.path, "test", "rules", "test.yaml");
}

const TILES = [
  ["Leader", "pgnetd_leader"],
  ["Stream", "pgnetd_stream_up"],
  ["Database", "pgnetd_database_up"],
  ["Read", "pgnetd_database_read"],
] as const;

test.skipIf(SKIPS_PROMTOOL).each(TILES)(
  "the tile %s is red where one database of two has none, and green where both have",
  async (title, metric) => {
    expect(await shown({ [metric]: ["1x30", "0x30", "0x30"] }, [[title, "", 0]])).toContain("SUCCESS");
    expect(await shown({ [metric]: ["1x30", "0x30", "1x30"] }, [[title, "", 1]])).toContain("SUCCESS");
  },
);

test.skipIf(SKIPS_PROMTOOL)("the tile Leader is red where every daemon of one database of two is gone", async () => {
  expect(await shown({ pgnetd_leader: ["1x30", "0x30", "1x4 stale"] }, [["Leader", "", 0]])).toContain("SUCCESS");
});

test.skipIf(SKIPS_PROMTOOL)("requests of several databases are added, those of daemons of one are not", async () => {
  expect(
    await shown(
      {
        pgnetd_outbox_rows: ["7x30", "7x30", "5x30"],
        pgnetd_deferred_rows: ["3x30", "3x30", "2x30"],
        pgnetd_dead_letters: ["1x30", "1x30", "4x30"],
      },
      [
        ["In the outbox", "", 12],
        ["Dead letters", "", 5],
        ["Requests that wait", "outbox", 12],
        ["Requests that wait", "deferred", 5],
      ],
    ),
  ).toContain("SUCCESS");
});

test.skipIf(SKIPS_PROMTOOL)("the limits beside what is added up are added up, too", async () => {
  const limits = [
    "pgnetd_memory_requests",
    "pgnetd_requests_in_flight",
    "pgnetd_memory_bytes",
    "pgnetd_answer_memory_bytes",
  ];
  const started = "Started per second, and the limit";
  expect(
    await shown(
      Object.fromEntries(
        [...limits.map((name) => `${name}_limit`), "pgnetd_requests_per_second_limit"].map((name) => [
          name,
          ["200x30", "200x30", "100x30"],
        ]),
      ),
      [
        [started, "limit", 300],
        ["Requests that wait", "limit of memory", 300],
        ["In flight", "limit", 300],
        ["Memory of requests and answers", "limit of requests", 300],
        ["Memory of requests and answers", "limit of answers", 300],
      ],
    ),
  ).toContain("SUCCESS");
  expect(
    await shown({ pgnetd_requests_per_second_limit: ["200x30", "200x30", "_x19 +Inf"] }, [[started, "limit", null]]),
  ).toContain("SUCCESS");
});
