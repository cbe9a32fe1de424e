import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { openCanary } from "../canary.ts";
import { eventually } from "../eventually.ts";
import { PLAIN_ROW, insertRows } from "../fuzz-row.ts";
import { always, answered, failed, httpPeer } from "../http-peer.ts";
import { type Cases, expectUnreached, names, narrowClient, redirect, withPort } from "./cases.ts";

const REFUSED = { code: "refused_address", maybeReceived: false };
const tls = (name: string): string => readFileSync(new URL(`../tls/${name}`, import.meta.url), "utf8");

/** Follows a redirect of `front` to each of these, `PORT` being a listener's, and expects that none is reached. */
async function expectNotFollowed(locations: readonly string[], code: string, statuses = ["302 Found"]): Promise<void> {
  await using canary = await openCanary();
  await using client = narrowClient();
  for (const location of locations)
    for (const status of statuses) {
      await using front = await httpPeer((socket) => socket.write(redirect(withPort(location, canary), status)));
      const outcome = await failed(client, `http://127.0.0.1:${front.port}/`, {
        method: "POST",
        body: Buffer.from("x"),
      });
      expect(outcome).toMatchObject({ code });
      expect(front.received).toHaveLength(1);
    }
  expect(canary.reached).toEqual([]);
}

/** Attempts to reach what must not be reached. */
export const addressCases: Cases<
  | "CVE-2026-105636"
  | "CVE-2026-104973"
  | "CVE-2026-34590"
  | "CVE-2026-68558"
  | "CVE-2026-105689"
  | "CVE-2026-55473"
  | "CVE-2026-62668"
  | "CVE-2024-46990"
  | "CVE-2024-29415"
  | "CVE-2025-8020"
  | "CVE-2023-28155"
  | "CVE-2024-39338"
  | "CVE-2024-22243"
  | "CVE-2025-22870"
  | "CVE-2025-1220"
  | "CVE-2024-12224"
> = {
  "CVE-2026-105636": async () => {
    const statuses = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"];
    await expectNotFollowed(
      ["http://127.0.0.2:PORT/", "http://[::1]:PORT/", "http://169.254.169.254/"],
      "refused_address",
      statuses,
    );
  },

  "CVE-2026-104973": async () => {
    const reached: unknown[] = [];
    await using front = await httpPeer(always("ok"), {
      host: "0.0.0.0",
      accepted: (socket) => reached.push(socket.localAddress),
    });
    const [good, bad] = [["127.0.0.1"], ["127.0.0.2"]];
    const url = `http://rebind.test:${front.port}/`;
    await using first = narrowClient({ resolve: names({ "rebind.test": [good, bad] }) });
    expect((await answered(first, url)).status).toBe(200);
    await using second = narrowClient({ resolve: names({ "rebind.test": [bad, good] }) });
    expect(await failed(second, url)).toMatchObject(REFUSED);
    expect(reached).toEqual(["127.0.0.1"]);
  },

  "CVE-2026-34590": async ({ db, canary }) => {
    const url = `http://127.0.0.2:${canary.port}/`;
    const [made] = await db.query<{ id: string }>("select net.http_post($1)::text as id", [url]);
    await insertRows(db, [{ ...PLAIN_ROW, url }], ["-34590"]);
    const codes = await eventually(async () => {
      const rows = await db.query<{ error_code: string }>(
        "select error_code from net.http_response_detail where id = any ($1)",
        [[made?.id, "-34590"]],
      );
      return rows.length === 2 && rows.map((row) => row.error_code);
    });
    expect(codes).toEqual(["refused_address", "refused_address"]);
    expect(canary.reached).toEqual([]);
  },

  "CVE-2026-68558": async () => {
    const lists = [["169.254.169.254"], ["::1"], ["169.254.169.254", "::1", "fd00::1"], ["::ffff:127.0.0.2"]];
    for (const list of lists) {
      const client = narrowClient({ resolve: names({ "169-254-169-254.nip.test": [list] }) });
      const [outcome] = await expectUnreached(["http://169-254-169-254.nip.test:PORT/"], { client });
      expect(outcome).toMatchObject(REFUSED);
    }
  },

  "CVE-2026-105689": async () => {
    const urls = [
      ["http://[64:ff9b::a9fe:a9fe]:PORT/", "http://[64:ff9b::7f00:2]:PORT/"],
      ["http://[2002:a9fe:a9fe::]:PORT/", "http://[2002:7f00:2::1]:PORT/"],
      ["http://[2001:0:4136:e378:8000:63bf:5601:5601]:PORT/"],
    ].flat();
    for (const outcome of await expectUnreached(urls)) expect(outcome).toMatchObject(REFUSED);
    const resolve = names({ "aaaa.test": [["64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "2001:0:7f00:2::"]] });
    const [named] = await expectUnreached(["http://aaaa.test:PORT/"], { client: narrowClient({ resolve }) });
    expect(named).toMatchObject(REFUSED);
  },

  "CVE-2026-55473": async () => {
    const urls = ["64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::1"];
    for (const outcome of await expectUnreached(urls.map((address) => `http://[${address}]:PORT/`)))
      expect(outcome).toMatchObject(REFUSED);
  },

  "CVE-2026-62668": async () => {
    const urls = [
      ["file:///etc/passwd", "gopher://127.0.0.1:PORT/_x", "dict://127.0.0.1:PORT/x", "ftp://127.0.0.1:PORT/"],
      ["ldap://127.0.0.1:PORT/", "tftp://127.0.0.1:PORT/", "ws://127.0.0.1:PORT/"],
    ].flat();
    for (const outcome of await expectUnreached(urls)) expect(outcome).toMatchObject({ code: "bad_request" });
    await expectNotFollowed(urls, "redirects");
  },

  "CVE-2024-46990": async () => {
    const urls = ["127.0.0.2", "127.127.127.127", "127.255.255.254", "0.0.0.0", "0.0.0.1"];
    for (const outcome of await expectUnreached(urls.map((address) => `http://${address}:PORT/`)))
      expect(outcome).toMatchObject(REFUSED);
  },

  "CVE-2024-29415": async () => {
    const hosts = ["127.1", "0x7f.1", "01200034567", "012.1.2.3", "[000:0:0000::01]", "[::fFFf:127.0.0.1]"];
    const client = narrowClient({ allowNetworks: [] });
    for (const outcome of await expectUnreached(
      hosts.map((host) => `http://${host}:PORT/`),
      { client },
    ))
      expect(outcome).toMatchObject(REFUSED);
  },

  "CVE-2025-8020": async () => {
    const client = narrowClient({
      resolve: names({ "multicast.test": [["224.0.0.1", "239.255.255.250", "ff02::1"]] }),
    });
    const urls = ["http://224.0.0.1:PORT/", "http://[ff05::1]:PORT/", "http://multicast.test:PORT/"];
    for (const outcome of await expectUnreached(urls, { client })) expect(outcome).toMatchObject(REFUSED);
  },

  "CVE-2023-28155": async () => {
    await expectNotFollowed(["https://127.0.0.2:PORT/"], "refused_address");
    await using canary = await openCanary();
    await using front = await httpPeer((socket) => socket.write(redirect(`http://127.0.0.2:${canary.port}/`)), {
      tls: { key: tls("server.key"), cert: tls("server.pem") },
    });
    await using client = narrowClient({ trustedCertificates: [tls("ca.pem")] });
    expect(await failed(client, `https://127.0.0.1:${front.port}/`)).toMatchObject({ code: "refused_address" });
    expect(front.received).toHaveLength(1);
    expect(canary.reached).toEqual([]);
  },

  "CVE-2024-39338": async () => {
    for (const outcome of await expectUnreached(["//127.0.0.2:PORT/x", "/127.0.0.2:PORT/x", "127.0.0.2:PORT/x"]))
      expect(outcome).toMatchObject({ code: "bad_request" });
    await expectNotFollowed(["//127.0.0.2:PORT/x", "/\\127.0.0.2:PORT/x"], "refused_address");
  },

  "CVE-2024-22243": async () => {
    await using canary = await openCanary();
    await using front = await httpPeer(always("ok"));
    await using client = narrowClient();
    const allowed = `127.0.0.1:${front.port}`;
    const forbidden = `127.0.0.2:${canary.port}`;
    for (const host of [`${allowed}[@${forbidden}`, `${allowed}@${forbidden}`, `${allowed}%23@${forbidden}`])
      expect(await failed(client, `http://${host}/`)).toMatchObject(REFUSED);
    for (const host of [`${allowed}\\@${forbidden}`, `${allowed}#@${forbidden}`, `${allowed}?@${forbidden}`])
      expect((await answered(client, `http://${host}/`)).status).toBe(200);
    expect(canary.reached).toEqual([]);
  },

  // The daemon of the lab has the canary as HTTP_PROXY, HTTPS_PROXY and ALL_PROXY.
  "CVE-2025-22870": async ({ db, canary, target }) => {
    for (const outcome of await expectUnreached(["http://[::1%25.example.test]:PORT/", "http://[::1%25lo]:PORT/"]))
      expect(outcome).toMatchObject({ code: "bad_request" });
    const before = target.received.length;
    await db.query("select net.http_get($1)", [`http://127.0.0.1:${target.port}/direct`]);
    await eventually(() => target.received.length > before);
    expect(target.received.at(-1)?.head).toMatch(/^GET \/direct HTTP/);
    expect(canary.reached).toEqual([]);
  },

  "CVE-2025-1220": async () => {
    const urls = [
      "http://127.0.0.2\0.example.test:PORT/",
      "http://127.0.0.2%00.example.test:PORT/",
      "http://[::1\0]:PORT/",
    ];
    for (const outcome of await expectUnreached(urls)) expect(outcome).toMatchObject({ code: "bad_request" });
  },

  "CVE-2024-12224": async () => {
    const resolve = names({ "xn--intern-.test": [["127.0.0.2"]], "intern.test": [["127.0.0.1"]] });
    const urls = ["http://xn--intern-.test:PORT/", "http://XN--INTERN-.test:PORT/"];
    for (const outcome of await expectUnreached(urls, { client: narrowClient({ resolve }) }))
      expect(["refused_address", "bad_request", "dns"]).toContain(outcome.code);
  },
};
