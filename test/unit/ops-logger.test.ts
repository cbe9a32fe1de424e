import { expect, it } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import type { Log } from "../../src/base/log.ts";
import { openLogger } from "../../src/ops/logger.ts";

type Line = Readonly<Record<string, unknown>>;

async function written(level: "debug" | "info" | "warn" | "error", act: (log: Log) => void): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const to = { write: (line: string) => void lines.push(JSON.parse(line) as Line) };
  act(await openLogger({ level, to }));
  return lines;
}

it("writes one JSON line per event, with level, time and fields", async () => {
  const lines = await written("info", (log) => log.info({ slot: "pgnetd_app", waitingRequests: 3 }, "stream opened"));
  expect(lines).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown,
      slot: "pgnetd_app",
      waitingRequests: 3,
      msg: "stream opened",
    },
  ]);
});

it("leaves out what is below the level", async () => {
  const lines = await written("warn", (log) => {
    log.debug({}, "a");
    log.info({}, "b");
    log.warn({}, "c");
    log.error({}, "d");
  });
  expect(lines.map(({ msg }) => msg)).toEqual(["c", "d"]);
});

it("P11: masks what should not have been logged", async () => {
  const lines = await written("info", (log) => {
    log.info({ headers: { authorization: "hunter2" }, body: "hunter2", request: { url: "https://h/?k=hunter2" } }, "x");
    log.info({}, "cannot reach postgres://app:hunter2@db/app");
  });
  expect(lines).toMatchObject([
    { headers: "***", body: "***", request: { url: "***" } },
    { msg: expect.stringContaining("app:***@db") as unknown },
  ]);
  expect(JSON.stringify(lines)).not.toContain("hunter2");
});

it("P11: logs of an error what it is, and of PostgreSQL's not the rows it names", async () => {
  const cause = Object.assign(new Error("null value in column"), { code: "23502", detail: "Failing row: hunter2" });
  const err = new PgnetdError("STREAM_LOST", "the stream to postgres://app:hunter2@db/app ended", { cause });
  const fields = {
    type: "PgnetdError",
    message: "the stream to postgres://app:***@db/app ended",
    code: "STREAM_LOST",
    cause: { type: "Error", message: "null value in column", code: "23502" },
  };
  const [atInfo] = await written("info", (log) => log.error({ err }, "x"));
  expect(atInfo?.["err"]).toEqual(fields);
  const [atDebug] = await written("debug", (log) => log.error({ err }, "x"));
  expect(atDebug?.["err"]).toMatchObject({ ...fields, stack: expect.stringContaining("\n    at ") as unknown });
  expect(JSON.stringify([atInfo, atDebug])).not.toContain("hunter2");
});
