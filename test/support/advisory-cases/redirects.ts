import { expect } from "vitest";
import { eventually } from "../eventually.ts";
import { type HttpPeer, type Received, always, answered, httpPeer, response, testClient } from "../http-peer.ts";
import { type Cases, NETRC_PASSWORD, headOf, names, redirect } from "./cases.ts";

const VALUE = "hunter2-secret";

/** Sends a request with `headers` to a server that redirects to another, and returns that one's received request. */
async function elsewhere(
  headers: readonly (readonly [string, string])[],
  parts: { readonly method?: string; readonly body?: Buffer; readonly status?: string } = {},
): Promise<Received | undefined> {
  await using other = await httpPeer(always("ok"));
  const { status = "307 Temporary", ...rest } = parts;
  await using front = await httpPeer(always("", [`Location: http://127.0.0.1:${other.port}/there`], status));
  await using client = testClient();
  await answered(client, `http://127.0.0.1:${front.port}/`, { headers, ...rest });
  expect(front.received[0]?.head).toContain(VALUE);
  return other.received[0];
}

/** Which of these headers a request has. */
function namesIn(received: Received | undefined): string[] {
  expect(received?.head).toMatch(/ \/there HTTP\/1\.1/);
  return Array.from(received?.head.matchAll(/^([^:\r\n]+):/gm) ?? [], ([, name = ""]) => name.toLowerCase());
}

/** Attempts to have what was meant for one host sent to another, or shown. */
export const secretCases: Cases<
  | "CVE-2024-30260"
  | "CVE-2026-48595"
  | "CVE-2026-40895"
  | "CVE-2024-45336"
  | "CVE-2023-45289"
  | "CVE-2023-45143"
  | "CVE-2023-45803"
  | "CVE-2024-47081"
  | "CVE-2023-0833"
> = {
  "CVE-2024-30260": async () => {
    const there = await elsewhere([
      ["Authorization", VALUE],
      ["Proxy-Authorization", VALUE],
      ["X-Own", "1"],
    ]);
    expect(there?.head).not.toContain(VALUE);
    expect(namesIn(there)).toContain("x-own");
  },

  "CVE-2026-48595": async () => {
    for (const name of ["Authorization", "authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"])
      expect((await elsewhere([[name, VALUE]]))?.head).not.toContain(VALUE);
  },

  "CVE-2026-40895": async () => {
    for (const name of ["X-API-Key", "X-Auth-Token", "apikey", "ApiKey", "x-api-key"])
      expect((await elsewhere([[name, VALUE]]))?.head).not.toContain(VALUE);
  },

  "CVE-2024-45336": async () => {
    const way: string[] = [];
    let port = 0;
    const answer = (socket: { write(bytes: Buffer): boolean }, { head }: Received): void => {
      const at = /^GET (\S+)/.exec(head)?.[1] ?? "";
      const host = /^host: ([^:\r]+)/im.exec(head)?.[1] ?? "";
      way.push(`${host}${at} ${head.includes(VALUE)}`);
      const to = { "/1": `http://b.test:${port}/2`, "/2": "/3", "/3": `http://a.test:${port}/4` }[at];
      socket.write(to === undefined ? response("ok") : redirect(to));
    };
    await using peer: HttpPeer = await httpPeer(answer);
    port = peer.port;
    await using client = testClient({ resolve: names({ "a.test": [["127.0.0.1"]], "b.test": [["127.0.0.1"]] }) });
    await answered(client, `http://a.test:${port}/1`, { headers: [["Authorization", VALUE]] });
    expect(way).toEqual(["a.test/1 true", "b.test/2 false", "b.test/3 false", "a.test/4 false"]);
  },

  "CVE-2023-45289": async () => {
    for (const host of ["www.shop.test", "shop.test.", "evil-shop.test"]) {
      await using other = await httpPeer(always("ok"));
      await using front = await httpPeer(always("", [`Location: http://${host}:${other.port}/`], "302 Found"));
      await using client = testClient({
        resolve: (_name, found) => setImmediate(found, null, [{ address: "127.0.0.1", family: 4 }]),
      });
      await answered(client, `http://shop.test:${front.port}/`, {
        headers: [
          ["Authorization", VALUE],
          ["Cookie", VALUE],
        ],
      });
      expect(headOf(other, 0)).not.toContain(VALUE);
    }
  },

  "CVE-2023-45143": async () => {
    expect(
      (
        await elsewhere([
          ["Cookie", VALUE],
          ["cookie2", VALUE],
        ])
      )?.head,
    ).not.toContain(VALUE);
    await using peer = await httpPeer(always("ok", [`Set-Cookie: session=${VALUE}; Path=/`]));
    await using client = testClient();
    for (let at = 0; at < 2; at += 1) await answered(client, `http://127.0.0.1:${peer.port}/`);
    expect(headOf(peer, 1)).not.toMatch(/^cookie/im);
  },

  "CVE-2023-45803": async () => {
    for (const status of ["301 Moved", "302 Found", "303 See Other"]) {
      const there = await elsewhere(
        [
          ["X-Own", VALUE],
          ["Content-Type", "application/json"],
          ["Content-Encoding", "identity"],
        ],
        { method: "POST", body: Buffer.from(VALUE), status },
      );
      expect(there?.head).toMatch(/^GET \/there/);
      expect(there?.body.toString()).toBe("");
      expect(namesIn(there).filter((name) => name.startsWith("content-"))).toEqual([]);
    }
  },

  "CVE-2024-47081": async ({ db, target }) => {
    const before = target.received.length;
    await db.query("select net.http_get($1), net.http_get($2)", [
      `http://127.0.0.1:${target.port}/`,
      `http://example.com:@127.0.0.1:${target.port}/`,
    ]);
    await eventually(() => target.received.length === before + 2);
    const heads = target.received.slice(before).map(({ head }) => head);
    const password = Buffer.from(`user:${NETRC_PASSWORD}`).toString("base64");
    for (const head of heads) expect(head).not.toContain(password);
    // That of the url alone.
    expect(heads.filter((head) => /^authorization/im.test(head))).toHaveLength(1);
  },

  "CVE-2023-0833": async ({ db, daemon }) => {
    const [made] = await db.query<{ id: string }>("select net.http_get($1, headers := $2)::text as id", [
      `http://127.0.0.1:9/?${VALUE}`,
      JSON.stringify({ "X-Token": `${VALUE}\n` }),
    ]);
    const message = await eventually(async () => {
      const rows = await db.query<{ error_msg: string }>("select error_msg from net._http_response where id = $1", [
        made?.id,
      ]);
      return rows[0]?.error_msg;
    });
    expect(message).toContain("X-Token");
    expect(message).not.toContain(VALUE);
    expect(daemon.log()).not.toContain(VALUE);
  },
};
