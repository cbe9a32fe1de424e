import { expect, it } from "vitest";
import { LONGEST_URL } from "../../src/base/url-start.ts";
import { searchedPrefix, shownText, shownUrl } from "../../src/page/masking.ts";

it.each([
  [
    "https://u:p@api.example:8443/hooks/T0KEN?k=v#f",
    "https://api.example:8443/***",
    "https://api.example:8443/hooks/T0KEN?***",
  ],
  ["https://api.example/", "https://api.example/", "https://api.example/"],
  ["https://API.example", "https://api.example/", "https://api.example/"],
  ["https://api.example?k=v", "https://api.example/***", "https://api.example/?***"],
  [String.raw`https:\\u:p@api.example\hooks`, "https://api.example/***", "https://api.example/hooks"],
  ["https:u:p@api.example/hooks", "https://api.example/***", "https://api.example/hooks"],
  ["data:text/plain,secret", "***", "***"],
  ["no url: secret", "***", "***"],
  ["", "***", "***"],
])("P11: %s shows its host, or its path as well where that is set", (url, host, path) => {
  expect(shownUrl(url, "host")).toBe(host);
  expect(shownUrl(url, "path")).toBe(path);
});

it("P5, P11: of a long message the start is shown, up to a blank, in time that does not grow with it", () => {
  const secret = "https://user:secret@api.example/";
  expect(shownText(`${"a ".repeat(1_020)}${secret} ${secret}`, "host")).toBe(`${"a ".repeat(1_020).trimEnd()} …`);
  expect(shownText("a".repeat(1_000_000), "host")).toBe(" …");
  expect(shownText("a".repeat(2_047), "host")).toBe("a".repeat(2_047));
});

it("P11: urls in messages are masked as others are", () => {
  const message = "redirected to https://u:p@api.example/hooks/T0KEN?k=v and no further";
  expect(shownText(message, "host")).toBe("redirected to https://api.example/*** and no further");
  expect(shownText(message, "path")).toBe("redirected to https://api.example/hooks/T0KEN?*** and no further");
});

it.each([
  ["https://API.example", "https://api.example", "https://api.example"],
  ["https://api.exam", "https://api.exam", "https://api.exam"],
  ["http://127.0", "http://127.0", "http://127.0"],
  ["https://api.example/hooks/T0", "https://api.example/", "https://api.example/hooks/T0"],
  ["https://api.example/a?k=secret", "https://api.example/", "https://api.example/a"],
  ["https://api.example?k=secret", "https://api.example/", "https://api.example/"],
  ["api.example", "", ""],
])("P11: of a search for %s no more is compared than is shown", (text, host, path) => {
  expect(searchedPrefix(text, "host")).toBe(host);
  expect(searchedPrefix(text, "path")).toBe(path);
});

it("P11: nothing is shown of a url that is cut before its host", () => {
  const token = "t0ken".repeat(LONGEST_URL);
  for (const url of [
    `https://${token}@api.example/`,
    `https://user:${token}@api.example/`,
    `https:${token}@api.example`,
  ]) {
    expect(shownUrl(url.slice(0, LONGEST_URL), "path")).toBe("***");
  }
  const long = `https://u:p@api.example/${"x".repeat(LONGEST_URL)}`;
  expect(shownUrl(long.slice(0, LONGEST_URL), "host")).toBe("https://api.example/***");
});
