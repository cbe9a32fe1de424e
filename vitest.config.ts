import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Runs once for each project that has files to run: in one process, one after the other.
const globalSetup = ["test/support/global-setup.ts"];

// More workers than cores, since most tests wait for something most of the time.
const maxWorkers = availableParallelism() + 3;

// Modules are loaded once for each worker, not for each file, which is a third of the workers' processor time: no test leaves anything in them.
const isolate = false;

// A wait for a state has a deadline of its own, and says what was not reached: this is only for what hangs in spite of that.
const testTimeout = 120_000;

// Shared machines stall: in CI a test that fails where time plays a part is run once more, and the report shows both.
const retry = process.env["CI"] === undefined ? 0 : 1;

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/failures-last.ts"],
    maxWorkers,
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          isolate,
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real sockets and processes, without the PostgreSQL of the run.
        test: {
          name: "standalone",
          include: ["test/standalone/**/*.test.ts"],
          isolate,
          retry,
          testTimeout,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          isolate,
          globalSetup,
          retry,
          testTimeout,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // The whole daemon on a virtual clock, in processes of its own.
        test: {
          name: "simulator",
          include: ["test/simulator/**/*.test.ts"],
          testTimeout: 300_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // Not part of `npm test`: `npm run test:faults`. Not more files at a time than cores: each measures how long a recovery took.
        test: {
          name: "faults",
          include: ["test/faults/**/*.test.ts"],
          globalSetup: [...globalSetup, "test/support/fault-table.ts"],
          maxWorkers: Math.min(4, availableParallelism()),
          retry,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Not part of `npm test`: `npm run fuzz`. One file at a time, since each measures how soon a request is answered.
        test: {
          name: "fuzz",
          include: ["test/fuzz/**/*.test.ts"],
          globalSetup,
          maxWorkers: 1,
          testTimeout: 900_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
