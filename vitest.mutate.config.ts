import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Start processes, force garbage collections, or are of no file that is mutated. */
const LEFT_OUT = ["memory-growth", "cli-*", "architecture", "*-docs", "metrics-*"];

/** Notice most, and take long: they come last, since a mutant that was noticed needs no further test. */
const SLOW = /handoff-world|limits-allowance|answer-progress|pg-jsonb/;

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isSlow = ({ moduleId }: TestSpecification): number => (SLOW.test(moduleId) ? 1 : 0);
    return files.toSorted((one, other) => isSlow(one) - isSlow(other));
  }
}

// The unit tests that `npm run mutate` runs for a mutant, of those that reach it.
export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts"],
    exclude: LEFT_OUT.map((name) => `test/unit/${name}.test.ts`),
    testTimeout: 10_000,
    // A fifth of the random worlds.
    env: { PGNETD_WORLDS: "100" },
    // A third of the time.
    isolate: false,
    sequence: { sequencer: QuickFirst },
  },
});
