/** What `npm run mutate` changes and how it notices; docs/testing.md has the scores. See https://stryker-mutator.io/docs/stryker-js/configuration/ */
export default {
  mutate: [
    "src/pg/{arrays,jsonb,lsn,snapshot,value-parsers,xid}.ts",
    "src/wal/{confirmations,confirmed-position,message-limit,pgoutput,publication-check,wal2json}.ts",
    "src/replication/proof-of-lead.ts",
    "src/slot/{blockers,health,reading,slot,stream-outage}.ts",
    "src/leader/holder.ts",
    "src/outbox/{host-settings,lane,row}.ts",
    "src/limits/*.ts",
    "src/http/guard.ts",
    "src/results/{awaiting-visibility,backlog,doubtful,kept,outage,refused,row}.ts",
    "src/intake/*.ts",
    "src/sending/*.ts",
    "src/dispatch/phase.ts",
  ],
  // Texts are messages, SQL, or members of unions, of which a wrong one does not compile.
  mutator: { excludedMutations: ["StringLiteral"] },
  testRunner: "vitest",
  vitest: { configFile: "vitest.mutate.config.ts" },
  coverageAnalysis: "perTest",
  concurrency: 2,
  // A mutant that never ends is noticed by its hits; on a busy machine a test is slower than it was alone.
  timeoutMS: 5_000,
  timeoutFactor: 4,
  disableTypeChecks: false,
  // Names no file: Stryker would rewrite the tsconfig.json of its copy with an API that TypeScript 7 has no more, and nothing reads it there.
  tsconfigFile: "none",
  allowConsoleColors: false,
  reporters: ["progress-append-only", "clear-text", "html", "json"],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  htmlReporter: { fileName: "reports/mutation/mutation.html" },
  jsonReporter: { fileName: "reports/mutation/mutation.json" },
};
