import { expect, test } from "vitest";
import { readConfig } from "../../src/config/load.ts";
import { type ReadRefusal, refusedReader } from "../../src/page/access.ts";

const READ = "a-token-for-reading-0123";
const ACT = "a-token-for-actions-0123";
const HERE = "127.0.0.1";
const ELSEWHERE = "10.1.2.3";

function basic(password: string): string {
  return `Basic ${Buffer.from(`operator:${password}`).toString("base64")}`;
}

type Case = readonly [env: Readonly<Record<string, string>>, from: string, given: string | null, refused: ReadRefusal];

const OPEN = { PGNETD_PAGE_OPEN: "true" };
const WITH_READ = { PGNETD_PAGE_READ_TOKEN: READ };
const WITH_ACT = { PGNETD_PAGE_TOKEN: ACT };

const CASES: readonly Case[] = [
  [{}, HERE, null, null],
  [{}, "::1", null, null],
  [{}, "::ffff:127.0.0.1", null, null],
  [{}, ELSEWHERE, null, "forbidden"],
  [{}, "::ffff:10.1.2.3", null, "forbidden"],
  [{}, "", null, "forbidden"],
  [{}, ELSEWHERE, basic(READ), "forbidden"],
  [OPEN, ELSEWHERE, null, null],
  [WITH_ACT, HERE, null, null],
  [WITH_ACT, ELSEWHERE, null, "token-missing"],
  [WITH_ACT, ELSEWHERE, basic(ACT), null],
  [WITH_READ, HERE, null, "token-missing"],
  [WITH_READ, HERE, basic(READ), null],
  [{ ...WITH_READ, ...OPEN }, ELSEWHERE, null, "token-missing"],
  [WITH_READ, ELSEWHERE, basic(READ), null],
  [WITH_READ, ELSEWHERE, `Bearer ${READ}`, null],
  [WITH_READ, ELSEWHERE, basic(`${READ}x`), "token-wrong"],
  [WITH_READ, ELSEWHERE, basic(""), "token-wrong"],
  [WITH_READ, ELSEWHERE, basic(ACT), "token-wrong"],
  [WITH_READ, ELSEWHERE, "Basic", "token-wrong"],
  [WITH_READ, ELSEWHERE, `Basic ${Buffer.from(READ).toString("base64")}`, "token-wrong"],
  [WITH_READ, ELSEWHERE, "", "token-wrong"],
  [{ ...WITH_READ, ...WITH_ACT }, ELSEWHERE, basic(ACT), null],
];

test.each(CASES)("who may read, with %o, from %j, having given %j: %j", (env, from, given, refused) => {
  const { page } = readConfig({ env: { DATABASE_URL: "postgresql://db/app", ...env } }).config;
  expect(refusedReader(given === null ? {} : { authorization: given }, from, page)).toBe(refused);
});
