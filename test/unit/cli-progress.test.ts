import { WriteStream } from "node:tty";
import { expect, test } from "vitest";
import { openLiveView } from "../../src/cli/live-view.ts";
import { leftText, Progress, TimeLeft } from "../../src/cli/progress.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("without a terminal progress is a line every five seconds, and one for each new kind of news", () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const progress = new Progress({ print: (line) => void lines.push(line) }, clock, "waiting");
  for (let second = 0; second <= 12; second++) {
    progress.report(second < 2 ? "waiting" : "working", `at ${second}`);
    clock.advance(1_000);
  }
  expect(lines).toEqual(["at 2", "at 7", "at 12"]);
});

test("on a terminal progress is shown in place, and removed before lines that stay", () => {
  const log: string[] = [];
  const view = {
    show: (lines: readonly string[]) => void log.push(`show ${lines.join("|")}`),
    clear: () => void log.push("clear"),
    [Symbol.dispose]: () => undefined,
  };
  {
    using progress = new Progress({ print: (line) => void log.push(line), live: () => view }, new FakeClock(), "");
    progress.report("working", "half");
    progress.print("a word to stay");
  }
  expect(log).toEqual(["show half", "clear", "a word to stay", "clear"]);
});

test("a live view rewrites its lines and cuts those that are too long", () => {
  let written = "";
  const terminal = Object.assign(Object.create(WriteStream.prototype) as WriteStream, { columns: 10, rows: 20 });
  terminal.write = (text: string | Uint8Array) => {
    written += String(text);
    return true;
  };
  const view = openLiveView(terminal);
  view.show(["one", "a line that is too long"]);
  expect(written).toBe("one\na line th…\n");
  written = "";
  view.show(["two"]);
  expect(written).toBe("\u001B[2A\u001B[1G\u001B[0Jtwo\n");
});

test("the time left is estimated from how what is left went down in the last half minute", () => {
  const timeLeft = new TimeLeft();
  expect(timeLeft.after(0, 1_000)).toBeNull();
  expect(timeLeft.after(1_000, 1_000)).toBeNull();
  expect(timeLeft.after(10_000, 900)).toBe(90_000);
  expect(timeLeft.after(31_000, 800)).toBe((800 * 30_000) / 200);
  expect(timeLeft.after(70_000, 800)).toBeNull();
});

test.each([
  [null, ""],
  [900, ", about 1 s left"],
  [59_001, ", about 1 min left"],
  [240_000, ", about 4 min left"],
  [7_200_000, ", about 2.0 h left"],
])("%s ms are told as %j", (ms, text) => {
  expect(leftText(ms)).toBe(text);
});
