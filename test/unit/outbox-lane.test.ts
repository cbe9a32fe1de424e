import fc from "fast-check";
import { expect, test } from "vitest";
import { hostOf } from "../../src/outbox/host-settings.ts";
import { authorityOfLane, hasPlainAuthority, hostOfLane, laneOf } from "../../src/outbox/lane.ts";

test.each([
  ["http://example.com/hook", "example.com"],
  ["https://example.com", "example.com"],
  ["https://EXAMPLE.com:8443/A", "example.com:8443"],
  ["http://user:p@ss@example.com/a@b", "example.com"],
  ["HTTPS://example.com/", "example.com"],
  ["https://api.example.com?email=x@b.com", "api.example.com"],
  ["https://api.example.com?a=1/2", "api.example.com"],
  ["https://api.example.com#x@b.com", "api.example.com"],
  ["https://user@api.example.com\\x@b.com", "api.example.com"],
  ["http:///path", ""],
  ["http://\\example.com", ""],
  ["http:/example.com", ""],
  [" http://example.com/", "example.com"],
  ["example.com", ""],
  ["", ""],
  ["//example.com/", "example.com"],
  ["http://Ä.example/", "Ä.example"],
])("the lane of %j is %j", (url, lane) => {
  expect(laneOf(url, null)).toBe(lane);
});

test("the lane of a row is its destination and the name that the caller gave, as it was written", () => {
  expect(laneOf("http://EXAMPLE.com/", "Tenant 7")).toBe("example.com Tenant 7");
  expect(laneOf("http://example.com/", "")).toBe("example.com ");
});

test("the key of a lane has 255 characters at most, counted as PostgreSQL counts them", () => {
  expect(laneOf(`http://${"a".repeat(255)}/`, null)).toBe("a".repeat(255));
  expect(laneOf(`http://${"a".repeat(256)}/`, "name")).toBe("a".repeat(255));
  expect(laneOf("http://a/", "n".repeat(300))).toBe(`a ${"n".repeat(253)}`);
  expect(laneOf(`http://${"😀".repeat(300)}/`, null)).toBe("😀".repeat(255));
  expect(laneOf("http://a/", "😀".repeat(254))).toBe(`a ${"😀".repeat(253)}`);
});

test("of a url the first 2048 characters say the lane", () => {
  const ends = (length: number): string =>
    `http://${"x".repeat(length - "http://".length - "@b.example".length)}@b.example`;
  expect([laneOf(ends(2_048), null), laneOf(`${ends(2_048)}.dead.example/`, "name")]).toEqual([
    "b.example",
    "b.example name",
  ]);
  expect(laneOf(`http://b.example?${"x".repeat(3_000)}`, null)).toBe("b.example");
});

test.each([
  ["http://example.com/a", true],
  ["HTTPS://user@example.com?x", true],
  [" \thttp://example.com", true],
  ["http:/example.com/b.com/", false],
  ["http:example.com//b.com/", false],
  ["http:\\\\example.com/x/b.com/", false],
  ["ht\ttp://example.com/", false],
  ["httpx://example.com/", false],
  [`http://${"x".repeat(2_041)}`, true],
  [`http://${"x".repeat(2_042)}`, false],
  [`http://example.com/${"x".repeat(3_000)}`, true],
])("whether %j is in the lane of its host is known: %s", (url, isPlain) => {
  expect(hasPlainAuthority(url)).toBe(isPlain);
});

const PARTS = [
  ["http:", "https://", "HTTP://", "ftp://", "//", "/", "\\", "?", "#", "@", ":", " ", "\t", "\n", "."],
  ["b.example", "dead.example", "127.0.0.1", "0x7f.1", "%61", "[::1]", ":80", "ä", "\u00ad", "A".repeat(250)],
  ["\u00ad".repeat(254), "u".repeat(2_030)],
].flat();

const part = fc.oneof(
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 3 }) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(...PARTS),
  },
);

test("P6: all requests of a lane with a host go to that host, whatever their urls, but for those that are refused", () => {
  const url = fc
    .tuple(fc.constantFrom("http://", "https://", ""), fc.array(part, { maxLength: 8 }))
    .map(([scheme, parts]) => scheme + parts.join(""));
  fc.assert(
    fc.property(url, fc.option(fc.constantFrom("", "name", "x".repeat(255))), (text, name) => {
      const [of, to] = [hostOfLane(laneOf(text, name)), hostOf(text)];
      // What has no host, or is refused, is sent to none.
      return of === null || to === "" || of === to || !hasPlainAuthority(text);
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  ["example.com:8443 tenant 7", "example.com"],
  ["example.com.", "example.com"],
  ["0x7f.1", "127.0.0.1"],
  ["[::1]:80", "[::1]"],
  ["", null],
  [" tenant 7", null],
  ["example.com:99999", null],
])("the host of the lane %j is %j", (lane, host) => {
  expect(hostOfLane(lane)).toBe(host);
});

test("a lane whose key may have been cut within the authority has no host", () => {
  const long = (length: number): string => "a".repeat(length);
  expect([hostOfLane(long(254)), hostOfLane(long(255))]).toEqual([long(254), null]);
  expect(hostOfLane(`${long(200)} ${long(54)}`)).toBe(long(200));
  // Counted as PostgreSQL counts: these are two each in JavaScript.
  expect([authorityOfLane("😀".repeat(254)), authorityOfLane("😀".repeat(255))]).toEqual(["😀".repeat(254), null]);
});
