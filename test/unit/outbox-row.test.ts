import { expect, it, vi } from "vitest";
import { hostOf } from "../../src/outbox/host-settings.ts";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES, LARGEST_URL_BYTES, laneOfRow, readRow } from "../../src/outbox/row.ts";
import { liveBytes } from "../support/live-heap.ts";

const CONTEXT = { maxRedirects: 5, installationMarks: [] };

/** A row as the stream and the sweep give it. */
const ROW = {
  id: "9007199254740993",
  method: "get",
  url: "http://example.com/",
  headers: null,
  body: null,
  timeout_milliseconds: 5_000,
  created: "2026-11-21 09:20:32.115484+00",
  attempts: 0,
  next_attempt_at: null,
  options: null,
};

it("takes what a row leaves open from the defaults", () => {
  const { request, defect, nextAttemptAt } = readRow(ROW, CONTEXT);
  expect({ defect, nextAttemptAt }).toEqual({ defect: null, nextAttemptAt: null });
  expect(request).toMatchObject({
    id: 9_007_199_254_740_993n,
    method: "GET",
    headers: [],
    options: { maxAttempts: 1, maxRedirects: 5, keep: "all" },
  });
});

it("sends no header without a value, and what is no string in its own text", () => {
  const headers = '{"X-Flag": true, "X-List": [1, 2], "X-None": null, "X-Text": "a", "X-Number": 1.10}';
  expect(readRow({ ...ROW, headers }, CONTEXT).request.headers).toEqual([
    ["X-Flag", "true"],
    ["X-List", "[1, 2]"],
    ["X-Text", "a"],
    ["X-Number", "1.10"],
  ]);
});

it.each(["infinity", "-infinity", "2026-01-02 03:04:05.123456+00"])("a time is kept as it is written: %s", (time) => {
  const { defect, nextAttemptAt, request } = readRow({ ...ROW, next_attempt_at: time, created: time }, CONTEXT);
  expect({ defect, nextAttemptAt, created: request.created }).toEqual({
    defect: null,
    nextAttemptAt: time,
    created: time,
  });
});

it.each([
  ["headers", '["a"]'],
  ["headers", '"a"'],
  ["options", '{"max_attempts": 0}'],
  ["options", '{"max_attempts": 1001}'],
  ["options", '{"max_attempts": 9007199254740993}'],
  ["options", '{"max_attempts": "3"}'],
  ["options", '{"retry_first_ms": -1}'],
  ["options", '{"retry_max_ms": 2147483648}'],
  ["options", '{"max_redirects": 51}'],
  ["options", '{"max_redirects": -1}'],
  ["options", '{"keep": "nothing"}'],
  ["options", "[]"],
  ["attempts", -2_147_483_648],
  ["attempts", -1],
  ["attempts", 1_001],
  ["timeout_milliseconds", -1],
  ["next_attempt_at", 7],
])("a row whose %s are %j has a defect, and is a request all the same", (column, value) => {
  const { request, defect } = readRow({ ...ROW, [column]: value }, CONTEXT);
  expect(defect).toContain(column);
  expect(request).toMatchObject({ id: 9_007_199_254_740_993n, method: "get", url: "http://example.com/" });
});

it("a row with several defects names all of them on one line", () => {
  expect(readRow({ ...ROW, attempts: -1, timeout_milliseconds: -1 }, CONTEXT).defect).toMatch(
    /^timeout_milliseconds: [^\n]+; attempts: [^\n]+$/,
  );
});

it.each(["null", "{}"])("headers and options of %s are as good as none", (text) => {
  const { request, defect } = readRow({ ...ROW, headers: text, options: text }, CONTEXT);
  expect([request.headers, request.options.maxAttempts, defect]).toEqual([[], 1, null]);
});

it("P2: headers and options of any depth are read, whatever numbers are inside", () => {
  const deep = `${"[".repeat(100_000)}1234567890123456${"]".repeat(100_000)}`;
  const { request, defect } = readRow({ ...ROW, headers: `{"X-Deep": ${deep}}` }, CONTEXT);
  expect([defect, request.headers]).toEqual([null, [["X-Deep", deep]]]);
  expect(readRow({ ...ROW, options: `{"keep": ${deep}}` }, CONTEXT).defect).toContain("options.keep");
  expect(readRow({ ...ROW, options: `{"other": ${deep}}` }, CONTEXT).defect).toBeNull();
});

it.each([
  ["headers", '{"Authorization": "s3cret\\q"}'],
  ["options", '{"keep": "s3cret"'],
])("P11: what cannot be parsed in %s is not shown", (column, text) => {
  const { defect } = readRow({ ...ROW, [column]: text }, CONTEXT);
  expect(defect).toMatch(/cannot be read|must be/);
  expect(defect).not.toContain("s3cret");
});

it("a row that was not read whole says why", () => {
  const { request, defect } = readRow({ id: "7", created: ROW.created }, CONTEXT, {
    unread: "it cannot be read: no (22000)",
  });
  expect([request.id, defect]).toEqual([7n, "it cannot be read: no (22000)"]);
});

it.each([
  ["body", { body: Buffer.alloc(LARGEST_BYTES) }],
  ["url", { url: `http://example.com/${"a".repeat(LARGEST_URL_BYTES)}` }],
  ["url", { url: `http://example.com/${"\u4e2d".repeat(LARGEST_URL_BYTES / 3)}` }],
  [
    "url and body",
    { url: `http://example.com/${"\u4e2d".repeat(80_000)}`, body: Buffer.alloc(LARGEST_BYTES - 200_000) },
  ],
  ["headers", { headers: `{"X-Large": "${"a".repeat(LARGEST_HEADERS_BYTES)}"}` }],
])("P5: a row whose %s is too large has a defect, and is not held", (part, columns) => {
  const { request, defect } = readRow({ ...ROW, ...columns }, CONTEXT);
  expect(defect).toMatch(new RegExp(`its .*${part}.* larger than \\d+ bytes`));
  expect(request).toMatchObject({ body: null, headers: [], bytes: 512 });
  expect(request.url.length).toBeLessThanOrEqual(1_000);
});

it("of tries there may have been as many as may be asked for", () => {
  expect(readRow({ ...ROW, attempts: 1_000 }, CONTEXT)).toMatchObject({ defect: null, request: { attempts: 1_000 } });
});

it.each([
  ["http://example.com/", "example.com"],
  ["https://u:p@EXAMPLE.com.:8443/a?b", "example.com"],
  ["http://127.0.0.1./", "127.0.0.1"],
  ["http://[::1]:80/", "[::1]"],
  ["not a url", ""],
])("P7: the host of %s is %s, with or without a trailing dot", (url, host) => {
  expect(hostOf(url)).toBe(host);
});

it("what a row says is in its request, as it is written", () => {
  const body = Buffer.from("ü");
  const columns = {
    headers: '{"X-One": "1"}',
    body,
    attempts: 2,
    options: '{"max_attempts": 3, "retry_first_ms": 10, "retry_max_ms": 20, "max_redirects": 0, "keep": "status"}',
  };
  expect(readRow({ ...ROW, ...columns }, CONTEXT).request).toEqual({
    id: 9_007_199_254_740_993n,
    method: "GET",
    url: "http://example.com/",
    headers: [["X-One", "1"]],
    body,
    timeoutMs: 5_000,
    created: ROW.created,
    attempts: 2,
    options: { maxAttempts: 3, retryFirstMs: 10, retryMaxMs: 20, maxRedirects: 0, keep: "status" },
    bytes: 512 + "http://example.com/".length + 2 + "X-One1".length,
  });
});

it.each([null, "null", "{}"])(
  "with options of %j a request is tried once, and has the configured redirects",
  (options) => {
    expect(readRow({ ...ROW, options }, CONTEXT).request.options).toEqual({
      maxAttempts: 1,
      retryFirstMs: 1_000,
      retryMaxMs: 3_600_000,
      maxRedirects: 5,
      keep: "all",
    });
  },
);

it("a row waits since its commit; where that is not known since it was due, or since it was made", () => {
  const waitsSince = (columns: object, committedAt?: number): number | undefined =>
    readRow({ ...ROW, ...columns }, CONTEXT, { committedAt }).waitsSince;
  const due = { next_attempt_at: "2026-11-21 09:30:00+00" };
  expect([waitsSince({}, 7), waitsSince(due, 7), waitsSince(due), waitsSince({})]).toEqual([
    7,
    7,
    Date.parse("2026-11-21T09:30:00Z"),
    Date.parse("2026-11-21T09:20:32.115Z"),
  ]);
});

it("P5: a request of the largest size is sent", () => {
  const url = "http://example.com/".padEnd(LARGEST_URL_BYTES, "a");
  const headers = `{"X-Large": "${"a".repeat(LARGEST_HEADERS_BYTES - '{"X-Large": ""}'.length)}"}`;
  const options = `{"other": "${"a".repeat(LARGEST_HEADERS_BYTES - '{"other": ""}'.length)}"}`;
  const body = Buffer.alloc(LARGEST_BYTES - url.length);
  expect(readRow({ ...ROW, headers, body, options }, CONTEXT).defect).toBeNull();
});

it("P6: of a url, however long, the beginning alone is parsed for its host", () => {
  const parse = vi.spyOn(URL, "parse");
  try {
    for (const end of ["/", "?", "#", "/a?", "\\"]) {
      const url = `https://u:p@EXAMPLE.com.:8443${end}${"\u4e2d".repeat(10_000_000)}`;
      expect(hostOf(url)).toBe("example.com");
      expect(readRow({ ...ROW, url }, CONTEXT)).toMatchObject({ host: "example.com", lane: "example.com.:8443" });
    }
    expect(parse.mock.calls.length).toBeGreaterThan(0);
    for (const [url] of parse.mock.calls) expect(String(url).length).toBeLessThanOrEqual(4_096);
  } finally {
    parse.mockRestore();
  }
});

it("P5: of a url that is too large nothing is held beyond what is shown", async () => {
  const before = await liveBytes();
  const rows = Array.from({ length: 8 }, (_, at) => {
    const url = `http://a-long-name.example/${"a".repeat(8 * 1024 * 1024)}${at}`;
    return readRow({ ...ROW, url }, CONTEXT);
  });
  expect(((await liveBytes()) - before) / 1024 / 1024).toBeLessThan(16);
  expect(rows.map(({ host, lane }) => [host, lane])).toEqual(
    rows.map(() => ["a-long-name.example", "a-long-name.example"]),
  );
});

it("P5: a row whose options are too large has a defect", () => {
  const options = `{"other": "${"ü".repeat(LARGEST_HEADERS_BYTES / 2)}"}`;
  expect(readRow({ ...ROW, options }, CONTEXT).defect).toMatch(/its options are larger/);
});

it.each([
  [{ url: "http://A/", lane: "b" }, "a b"],
  [{ url: "http://A/", lane: null }, "a"],
  [{ url: 7, lane: "b" }, ""],
])("the lane of a row is known without reading the rest: %j", (row, lane) => {
  expect([laneOfRow(row), readRow({ ...ROW, ...row }, CONTEXT).lane]).toEqual([lane, lane]);
});

it("a row with a defect belongs to its host and lane, is due at once, and shows the beginning of its url", () => {
  const url = `http://example.com/${"a".repeat(2_000)}`;
  const { request, ...row } = readRow({ ...ROW, url, attempts: -1, next_attempt_at: "infinity" }, CONTEXT);
  expect(row).toMatchObject({ nextAttemptAt: null, lane: "example.com", host: "example.com" });
  expect(request).toMatchObject({ url: url.slice(0, 1_000), timeoutMs: 0, attempts: 0, created: ROW.created });
  expect(readRow({ ...ROW, method: 7, url: 7 }, CONTEXT)).toMatchObject({
    request: { method: "GET", url: "" },
    lane: "",
    host: "",
  });
});

it("P6: a url whose lane may be another host's is a defect, and none without a host is", () => {
  expect(readRow({ ...ROW, url: "http:/a.example/b.example/" }, CONTEXT).defect).toContain(
    "url: must begin with http://",
  );
  expect(readRow({ ...ROW, url: "http://a.example/b.example/" }, CONTEXT).defect).toBeNull();
  expect(readRow({ ...ROW, url: "no url" }, CONTEXT)).toMatchObject({ host: "", defect: null });
});

it("P6: a host beyond ASCII that is too long to be one is a defect, and is not parsed", () => {
  const host = Array.from({ length: 5_000 }, (_, at) => String.fromCodePoint(0x4e00 + ((at * 7_919) % 20_000))).join(
    "",
  );
  const urls = [`http://${host}/`, `HTTP:/${host}`, `http://${host.slice(0, 300)}/`, `ht\ttp://a@${host}`];
  for (const url of urls) {
    const { defect, host: of } = readRow({ ...ROW, url }, CONTEXT);
    expect([defect, of]).toEqual([expect.stringContaining("url: must begin with http://"), ""]);
  }
  // Parsed, each would take some 50 ms, twice. Linear, a thousand take less than two.
  const begun = process.cpuUsage();
  for (let nth = 0; nth < 250; nth++) for (const url of urls) readRow({ ...ROW, url }, CONTEXT);
  expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(5_000);
  expect(readRow({ ...ROW, url: `http://b\u00fccher.example/${host}` }, CONTEXT).defect).toBeNull();
});
