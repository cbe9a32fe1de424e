import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const FILES = globSync("{src,test,bench}/**/*.ts", { cwd: ROOT });

describe.each(FILES)("%s", (file) => {
  const text = readFileSync(join(ROOT, file), "utf8");

  it("has at most 400 lines", () => {
    expect(text.split("\n").length).toBeLessThanOrEqual(401);
  });

  it("has a name that says what is inside", () => {
    expect(basename(file)).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/);
    expect(file).not.toMatch(/\b(utils?|common|types|helpers?|index|misc)\b/);
  });
});

const AT_THE_PROCESS = ["src/cli/main.ts", "src/cli/stop-signal.ts"];

it.each(FILES.filter((file) => file.startsWith("src/") && !AT_THE_PROCESS.includes(file)))(
  "%s neither ends the process nor takes its signals",
  (file) => {
    expect(readFileSync(join(ROOT, file), "utf8")).not.toMatch(/process\s*\.\s*exit\b|process\.on(ce)?\(/);
  },
);

it("every error code is given to an error somewhere", () => {
  const errors = readFileSync(join(ROOT, "src/base/errors.ts"), "utf8");
  const codes = [...errors.matchAll(/^ {2}([A-Z_]+): \{/gm)].map(([, code]) => String(code));
  const others = FILES.filter((file) => file.startsWith("src/") && file !== "src/base/errors.ts");
  const source = others.map((file) => readFileSync(join(ROOT, file), "utf8")).join("\n");
  expect(codes).toContain("USAGE");
  expect(codes.filter((code) => !source.includes(`"${code}"`))).toEqual([]);
});
