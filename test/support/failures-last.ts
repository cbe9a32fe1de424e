import { relative } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";

/** Lists what failed, and what passed only at a second try, one line each, after everything else; an error outside of every test with its stack. */
export default class FailuresLast implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const outside = unhandledErrors.map(({ message, stack }) => `failed outside of every test: ${stack ?? message}`);
    const lines = [...modules.flatMap((module) => linesOf(module)), ...outside];
    if (lines.length > 0) process.stdout.write(`\n${lines.join("\n")}\n`);
  }
}

function linesOf(module: TestModule): string[] {
  const file = relative(process.cwd(), module.moduleId);
  const tests = [...module.children.allTests()];
  const failed = tests.filter((test) => test.result().state === "failed");
  const again = tests.filter((test) => test.diagnostic()?.flaky === true);
  const lines = failed.map(({ fullName }) => `failed: ${file}: ${fullName}`);
  // A file that does not load has no tests to fail.
  if (failed.length === 0 && !module.ok()) lines.push(`failed: ${file}`);
  return [
    ...lines,
    ...again.flatMap((test) => [`passed at a second try: ${file}: ${test.fullName}`, ...firstTry(test)]),
  ];
}

function firstTry(test: TestCase): string[] {
  return (test.result().errors ?? []).map(({ stack, message }) => `  at the first: ${stack ?? message}`);
}
