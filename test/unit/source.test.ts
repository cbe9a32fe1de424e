import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const FILES = globSync("{src,test,bench}/**/*.ts", { cwd: ROOT });
const SOURCES = FILES.filter((file) => file.startsWith("src/"));
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

it("every file has a name that says what is inside", () => {
  expect(SOURCES.length).toBeGreaterThan(100);
  expect(FILES.filter((file) => /\b(utils?|common|types|helpers?|index|misc)\b/.test(file))).toEqual([]);
});

const AT_THE_PROCESS = ["src/cli/main.ts", "src/cli/stop-signal.ts"];

it("nothing else in src ends the process or takes its signals", () => {
  const found = SOURCES.filter((file) => /process\s*\.\s*exit\b|process\.on(ce)?\(/.test(read(file)));
  expect(found.filter((file) => !AT_THE_PROCESS.includes(file))).toEqual([]);
});

it("every error code is given to an error somewhere", () => {
  const codes = [...read("src/base/errors.ts").matchAll(/^ {2}([A-Z_]+): \{/gm)].map(([, code]) => String(code));
  const source = SOURCES.filter((file) => file !== "src/base/errors.ts")
    .map(read)
    .join("\n");
  expect(codes).toContain("USAGE");
  expect(codes.filter((code) => !source.includes(`"${code}"`))).toEqual([]);
});
