import { join } from "node:path";
import { expect, test } from "vitest";
import { promtool, SKIPS_PROMTOOL } from "../support/promtool.ts";

const FOLDER = join(import.meta.dirname, "../../config/prometheus");

test.skipIf(SKIPS_PROMTOOL)(
  "promtool finds the alerts valid, and each fires and is silent as its tests say",
  async () => {
    expect(await promtool(FOLDER, "check", "rules", "alerts.yaml")).toContain("SUCCESS");
    expect(await promtool(FOLDER, "test", "rules", "alerts.test.yaml")).toContain("SUCCESS");
  },
);
