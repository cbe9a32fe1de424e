import { expect, test } from "vitest";
import { laneOf } from "../../src/outbox/lane.ts";

test.each([
  ["http://example.com/hook", "example.com"],
  ["https://example.com", "example.com"],
  ["https://EXAMPLE.com:8443/A", "example.com:8443"],
  ["http://user:p@ss@example.com/a@b", "example.com"],
  ["http://example.com?a=1/2", "example.com?a=1"],
  ["http:///path", ""],
  ["http:/example.com", ""],
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
  const upTo = (length: number): string => `http:${"x".repeat(length - "http:".length - "//ab".length)}//ab`;
  expect([laneOf(upTo(2_048), null), laneOf(upTo(2_049), null)]).toEqual(["ab", "a"]);
  const wide = `${"😀".repeat(2_045)}//a`;
  expect([laneOf(wide, null), laneOf(`😀${wide}`, null)]).toEqual(["a", ""]);
});
