import { expect, test } from "vitest";
import type { Outgoing } from "../../src/http/outgoing.ts";
import { follow } from "../../src/http/redirect.ts";

const SECRET = ["Authorization", "Bearer secret", "cookie", "a=b", "X-Api-Key", "k", "Idempotency-Key", "pgnetd-1"];
const PLAIN = ["Content-Type", "text/plain", "X-Trace", "t"];
const FROM: Outgoing = {
  url: new URL("https://a.example/from"),
  method: "POST",
  body: Buffer.from("body"),
  headers: [...SECRET, ...PLAIN],
  close: false,
  ownIdempotencyKey: true,
};

test.each([
  ["the same origin", "/to", [...SECRET, ...PLAIN]],
  ["another host", "https://b.example/to", PLAIN],
  ["http in place of https, at the same host", "http://a.example/to", PLAIN],
  ["http in place of https, at the same host and port", "http://a.example:443/to", PLAIN],
  ["another port", "https://a.example:8443/to", PLAIN],
  ["the same port, written out", "https://a.example:443/to", [...SECRET, ...PLAIN]],
])(
  "P11: after a redirect to %s credentials go with the request only where it goes to the same origin",
  (_what, to, headers) => {
    expect(follow(307, to, FROM)).toMatchObject({ method: "POST", headers, body: Buffer.from("body") });
  },
);

test("the caller's own Idempotency-Key goes along anywhere", () => {
  const from = { ...FROM, ownIdempotencyKey: false };
  expect(follow(307, "https://b.example/", from)).toMatchObject({ headers: ["Idempotency-Key", "pgnetd-1", ...PLAIN] });
});

test.each([
  [301, "POST", "GET"],
  [302, "POST", "GET"],
  [303, "PUT", "GET"],
  [303, "HEAD", "HEAD"],
  [301, "PUT", "PUT"],
  [308, "POST", "POST"],
])("after %d a %s is followed by a %s, with its body unless it became a GET", (status, method, followed) => {
  const next = follow(status, "/", { ...FROM, method });
  const isGet = followed === "GET";
  expect(next).toMatchObject({ method: followed, body: isGet ? null : FROM.body });
  expect(next).toMatchObject({ headers: isGet ? [...SECRET, "X-Trace", "t"] : [...SECRET, ...PLAIN] });
});

test.each([
  ["https://", "\u0300"],
  ["//", "\u4e00"],
  ["/\t\\", "\u0300\u0316"],
])("P6: a host beyond ASCII that is too long to be one is refused before it is read: %j", (start, characters) => {
  const location = `${start}a${characters.repeat(5_000)}`;
  expect(follow(302, location, FROM)).toMatchObject({
    code: "redirects",
    message: expect.stringContaining("URL") as string,
  });
  expect(follow(302, `/${characters.repeat(5_000)}`, FROM)).toMatchObject({ method: "GET" });
});
