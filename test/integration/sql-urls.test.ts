import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});

async function value(text: string, values: unknown[] = []): Promise<unknown> {
  return Object.values((await db.query(text, values))[0] ?? {})[0];
}

/** RFC 3986: everything but the unreserved characters; encodeURIComponent leaves five more as they are. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

describe("net._urlencode_string", () => {
  test.each([
    ["", ""],
    ["AZaz09-._~", "AZaz09-._~"],
    ["a b+c/d?e=f&g", "a%20b%2Bc%2Fd%3Fe%3Df%26g"],
    ["!*'()\"<>%[]{}|\\^`@:;,$#", "%21%2A%27%28%29%22%3C%3E%25%5B%5D%7B%7D%7C%5C%5E%60%40%3A%3B%2C%24%23"],
    ["ü€😀", "%C3%BC%E2%82%AC%F0%9F%98%80"],
    ["\t\n\u007f\u0001", "%09%0A%7F%01"],
    ["ßıſ\u212a", "%C3%9F%C4%B1%C5%BF%E2%84%AA"],
  ])("%j becomes %j", async (text, encoded) => {
    expect(await value("select net._urlencode_string($1)", [text])).toBe(encoded);
  });

  test("agrees with RFC 3986 on any Unicode text", async () => {
    const text = fc.string({ unit: "binary", maxLength: 40 }).filter((s) => s.isWellFormed() && !s.includes("\0"));
    const texts = fc.sample(text, 400);
    const rows = await db.query<{ encoded: string }>(
      "select net._urlencode_string(t) as encoded from unnest($1::text[]) with ordinality as x (t, n) order by n",
      [texts],
    );
    expect(rows.map((row) => row.encoded)).toEqual(texts.map(percentEncoded));
  });

  test("null is null", async () => {
    expect(await value("select net._urlencode_string(null)")).toBeNull();
  });
});

describe("net._encode_url_with_params_array", () => {
  test.each([
    ["http://h/p", ["a=b", "c=d"], "http://h/p?a=b&c=d"],
    ["http://h", ["a=b"], "http://h?a=b"],
    ["http://h/p?x=1", ["a=b"], "http://h/p?x=1&a=b"],
    ["http://h/p?", ["a=b"], "http://h/p?a=b"],
    ["http://h/p?x=1&", ["a=b"], "http://h/p?x=1&a=b"],
    ["http://h/p#part", ["a=b"], "http://h/p?a=b#part"],
    ["http://h/p?x#part?no", ["a=b"], "http://h/p?x&a=b#part?no"],
    ["http://h/p", [null, "a=b", null], "http://h/p?a=b"],
    ["http://h/p", [], "http://h/p"],
    // As libcurl has it: hex digits of what is added come in lower case, those of the url stay.
    [
      "http://h/%C3%BC?x=%2F",
      ["a=%C3%BC%2f", "%E2%82%AC%=%AG%%FF"],
      "http://h/%C3%BC?x=%2F&a=%c3%bc%2f&%e2%82%ac%=%AG%%ff",
    ],
    ["HTTPS://user:pa@Host.example:8443/ü?é", [], "HTTPS://user:pa@Host.example:8443/ü?é"],
    ["http://[::1]:8080/x", ["a=b"], "http://[::1]:8080/x?a=b"],
    ["https://日本.example/", [], "https://日本.example/"],
  ])("%s with %j is %s", async (url, params, expected) => {
    expect(await value("select net._encode_url_with_params_array($1, $2)", [url, params])).toBe(expected);
  });

  test("null is null", async () => {
    expect(await value("select net._encode_url_with_params_array(null, null)")).toBeNull();
  });
});

describe("params of a request", () => {
  test.each([
    [{ hello: "world" }, "?hello=world"],
    [{ foo1: "bar1", encoded: "!" }, "?foo1=bar1&encoded=%21"],
    [
      { n: 1.5, b: true, a: [1, "x"], o: { k: "v" } },
      "?a=%5b1%2c%20%22x%22%5d&b=true&n=1.5&o=%7b%22k%22%3a%20%22v%22%7d",
    ],
    [{ left: null, kept: "" }, "?kept="],
    [{ "k ü": "v&=" }, "?k%20%c3%bc=v%26%3d"],
    [{ "a+b": "1+1" }, "?a%2bb=1%2b1"],
    [{}, ""],
    [null, ""],
  ])("%j", async (params, query) => {
    const url = "http://h/p";
    await db.query("truncate net.http_request_queue");
    await db.query("select net.http_get($1, $2::jsonb)", [url, params === null ? null : JSON.stringify(params)]);
    expect(await db.query("select url from net.http_request_queue")).toEqual([{ url: url + query }]);
  });

  test("are encoded in lower-case hex, as pg_net has them, and net._urlencode_string in upper case, whatever the url is", async () => {
    for (const url of ["http://h/p", "http://h/p?x=%2F", "http://h/p#f"]) {
      await db.query("truncate net.http_request_queue");
      await db.query(`select net.http_get($1, '{"/": "é/"}'), net.http_delete($1, '{"/": "é/"}')`, [url]);
      const added = `${url.includes("?") ? "&" : "?"}%2f=%c3%a9%2f`;
      const expected = url.includes("#") ? url.replace("#", `${added}#`) : url + added;
      expect(await db.query("select distinct url from net.http_request_queue")).toEqual([{ url: expected }]);
    }
    expect(await value("select net._urlencode_string('é/')")).toBe("%C3%A9%2F");
  });

  test("must be an object", async () => {
    await expect(db.query(`select net.http_get('http://h/', '[1]')`)).rejects.toMatchObject({
      code: "22023",
      message: "params must be a JSON object, not a JSON array",
    });
  });
});

describe("a url that is none raises at the call, with the url", () => {
  test.each([
    ["/malformed_url", 'invalid URL "/malformed_url"'],
    ["", 'invalid URL ""'],
    ["example.com/x", 'invalid URL "example.com/x"'],
    ["//example.com/x", 'invalid URL "//example.com/x"'],
    ["?x", 'invalid URL "?x"'],
    ["http://", 'invalid URL "http://"'],
    ["http:///x", 'invalid URL "http:///x"'],
    ["https://?x", 'invalid URL "https://?x"'],
    ["https://#x", 'invalid URL "https://#x"'],
    ["http://:80/x", 'invalid URL "http://:80/x"'],
    ["http:/x", 'invalid URL "http:/x"'],
    ["http://a b/", 'invalid URL "http://a b/"'],
    [" http://a/", 'invalid URL " http://a/"'],
    ["http://a/\n", 'invalid URL "http://a/\n"'],
    ["http://a/\tx", 'invalid URL "http://a/\tx"'],
    ["localhost:6666", 'Unsupported URL scheme: "localhost:6666"'],
    ["ftp://example.com/", 'Unsupported URL scheme: "ftp://example.com/"'],
    ["file:///etc/passwd", 'Unsupported URL scheme: "file:///etc/passwd"'],
    ["javascript:1", 'Unsupported URL scheme: "javascript:1"'],
    ["HTTPX://h/", 'Unsupported URL scheme: "HTTPX://h/"'],
  ])("%j", async (url, message) => {
    for (const call of [
      "http_get($1)",
      "http_post($1)",
      "http_delete($1)",
      "http_head($1)",
      "http_request('PUT', $1)",
    ]) {
      await expect(db.query(`select net.${call}`, [url])).rejects.toMatchObject({ code: "22023", message });
    }
    await expect(db.query("select net.http_get($1, '{\"a\": 1}')", [url])).rejects.toMatchObject({ message });
  });

  test("the message shows no more than the first 500 characters", async () => {
    await expect(db.query("select net.http_get($1)", ["x".repeat(10_000)])).rejects.toMatchObject({
      message: `invalid URL "${"x".repeat(500)}"`,
    });
  });
});

describe("net.form_urlencode", () => {
  test.each([
    [{ a: "b c", d: ["1", "~&"] }, "a=b+c&d=1&d=~%26"],
    [{ n: null, e: "", t: true, x: 1 }, "e=&t=true&x=1"],
    [{ "ü +": "+" }, "%C3%BC+%2B=%2B"],
    [{ o: { k: 1 } }, "o=%7B%22k%22%3A+1%7D"],
    [{}, ""],
  ])("%j is %s", async (fields, text) => {
    expect(await value("select net.form_urlencode($1)", [JSON.stringify(fields)])).toBe(text);
  });

  test("is read back by URLSearchParams", async () => {
    const texts = fc.string({ unit: "binary", maxLength: 20 }).filter((s) => s.isWellFormed() && !s.includes("\0"));
    const fields = Object.fromEntries(fc.sample(fc.tuple(texts, texts), 60));
    const encoded = await value("select net.form_urlencode($1)", [JSON.stringify(fields)]);
    expect(Object.fromEntries(new URLSearchParams(String(encoded)))).toEqual(fields);
  });

  test("must be given an object", async () => {
    await expect(db.query(`select net.form_urlencode('"a=b"')`)).rejects.toMatchObject({
      code: "22023",
      message: "fields must be a JSON object, not a JSON string",
    });
  });
});
