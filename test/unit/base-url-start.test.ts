import fc from "fast-check";
import { expect, test } from "vitest";
import { hasShortHost, hostnameOf, urlStart } from "../../src/base/url-start.ts";

const beyond = (count: number): string => "a" + "\u0300".repeat(count / 2) + "\u0316".repeat(count / 2);

test.each([
  ["http://example.com/", true],
  ["//example.com/", true],
  ["/path", true],
  ["", true],
  [`http://${"a".repeat(2_041)}`, true],
  [`http://${"a".repeat(2_042)}`, false],
  [`http://${beyond(254)}/`, true],
  [`http://${beyond(256)}/`, false],
  [`http://example.com/${beyond(5_000)}`, true],
  [`http://${beyond(1_000)}@example.com/`, true],
  [`http://user@${beyond(256)}/`, false],
  [`HTTP:\\${beyond(256)}`, false],
  [` ht\ttp:/\n/${"\t".repeat(300)}${beyond(256)}`, false],
  [`h${"\t".repeat(5_000)}ttp://example.com/`, false],
  [`${" ".repeat(5_000)}http://example.com/`, false],
  [`http:${"/".repeat(5_000)}example.com/`, false],
  [`//${beyond(256)}/`, false],
  [`/\t\\${beyond(256)}/`, false],
  [`/${beyond(5_000)}`, true],
  [beyond(4_000), true],
  [beyond(5_000), false],
  [`mailto:${beyond(5_000)}`, true],
])("P6: whether %j may be parsed is known without parsing it: %s", (url, isShort) => {
  expect(hasShortHost(url)).toBe(isShort);
  expect(isShort || urlStart(url) === null).toBe(true);
});

test("P6: the host of a url that may be parsed is that of its beginning, and no such host has many characters beyond ASCII", () => {
  const long = beyond(600);
  const part = fc.oneof(
    fc.constantFrom(
      "http:",
      "https:",
      "HTTP:",
      "ftp:",
      "x:",
      "//",
      "/",
      "\\",
      "?",
      "#",
      "@",
      ":",
      " ",
      "\t",
      "\n",
      "\0",
    ),
    fc.constantFrom(long, long, "a", "b.example", "%CC%80", "\t".repeat(4_095), " ".repeat(4_095), "/".repeat(4_090)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const url = parts.join("");
      const { hostname: whole = "", protocol: of = "" } = URL.parse(url) ?? {};
      const isKnown = hostnameOf(url) === whole || !["http:", "https:", "ftp:"].includes(of);
      if (!hasShortHost(url)) return hostnameOf(url) === "";
      // With a base, as a Location has one. What has names encodes their characters, and is longer for it.
      const { protocol, hostname } = URL.parse(url, "https://base.example/") ?? { protocol: "", hostname: "" };
      return isKnown && (!["http:", "https:", "ftp:"].includes(protocol) || hostname.length < 600);
    }),
    { numRuns: 20_000 },
  );
});
