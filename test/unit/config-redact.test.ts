import { beforeEach, expect, it } from "vitest";
import { learnSecrets, quotable, redact } from "../../src/config/redact.ts";

// What other tests of this worker have loaded is known, too.
beforeEach(() => learnSecrets([]));

it.each([
  ["cannot reach postgres://app:hunter2@db/app now", "cannot reach postgres://app:***@db/app now"],
  ["postgres://app:hun@ter2@db/app", "postgres://app:***@db/app"],
  ["postgres://app@db/app?password=hunter2&x=y", "postgres://app@db/app?***"],
  ["Invalid URL: app:hunter2@db/app", "Invalid URL: app:***@db/app"],
  ["GET https://u:hunter2@example.com/a?token=hunter2#x", "GET https://u:***@example.com/a?***"],
  ["host=db password=hunter2 user=app", "host=db password=*** user=app"],
  ["host=db PASSWORD = 'hunter 2' user=app", "host=db PASSWORD = *** user=app"],
  ["jdbc:postgresql://db/app;password=hunter2", "jdbc:postgresql://db/app;password=***"],
  ["    at main (file:///app/node_modules/@scope/a.js:1:2)", "    at main (file:///app/node_modules/@scope/a.js:1:2)"],
  ['password authentication failed for user "app"', 'password authentication failed for user "app"'],
  ["connect ECONNREFUSED 127.0.0.1:5432", "connect ECONNREFUSED 127.0.0.1:5432"],
])("P11: %s", (text, redacted) => {
  expect(redact(text)).toBe(redacted);
});

it("P11: masks what it learned, the longer first", () => {
  learnSecrets(["hunter2", "hunter2hunter2"]);
  expect(redact("hunter2hunter2 and hunter2")).toBe("*** and ***");
  learnSecrets([]);
  expect(redact("hunter2")).toBe("hunter2");
});

it.each(["a", "a.", "'a:", "a:a", "://", "password=", "password ", " a:b", "@", "?"])(
  "takes linear time for much of %j, which may be in the words of a server",
  (piece) => {
    const startedAt = performance.now();
    redact(piece.repeat(200_000));
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  },
);

it.each([
  ["200", "200"],
  ["5 MiB", "5 MiB"],
  ["verify-full", "verify-full"],
  ["10.0.0.0/8, ::1", "10.0.0.0/8, ::1"],
  ["hunter2", "***"],
  ["a b", "***"],
  ["1".repeat(100), "***"],
])("quotes %s as %s", (typed, quoted) => {
  expect(quotable(typed)).toBe(quoted);
});
