import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { HttpClient, HttpClientOptions } from "../../../src/http/client.ts";
import type { Failed } from "../../../src/http/outcome.ts";
import type { AdvisoryId } from "../advisories.ts";
import { type Canary, openCanary } from "../canary.ts";
import { type Lab, openLab } from "../fuzz-lab.ts";
import { type HttpPeer, type RequestParts, always, failed, response, testClient } from "../http-peer.ts";

/** What would have done harm; rejects where it does. `lab` is a daemon with a database of its own. */
export type Case = (lab: Lab) => Promise<void>;

/** What the daemon's `.netrc` has for every host. */
export const NETRC_PASSWORD = "hunter2-netrc";

/** A daemon with a database and a server to send to, proxies in its environment and a `.netrc` in its home folder. */
export async function openAdvisoryLab(): Promise<Lab & AsyncDisposable> {
  await using parts = new AsyncDisposableStack();
  const home = parts.adopt(await mkdtemp(join(tmpdir(), "pgnetd-home-")), (folder) => rm(folder, { recursive: true }));
  const netrc = join(home, ".netrc");
  const entry = `login user password ${NETRC_PASSWORD}\n`;
  await writeFile(netrc, `machine 127.0.0.1 ${entry}machine example.com ${entry}default ${entry}`);
  const lab = parts.use(await openLab({ answer: always("ok"), env: { HOME: home, NETRC: netrc } }));
  const owned = parts.move();
  return Object.assign(Object.create(lab) as Lab, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

/** Cases for some of the advisories. */
export type Cases<Id extends AdvisoryId> = Readonly<Record<Id, Case>>;

/** An answer that sends the client to `location`. */
export function redirect(location: string, status = "302 Found"): Buffer {
  return response("", [`Location: ${location}`], status);
}

/** A resolver that knows these names; each look-up of a name takes the next of its lists, the last one for ever. */
export function names(
  table: Readonly<Record<string, readonly (readonly string[])[]>>,
): NonNullable<HttpClientOptions["resolve"]> {
  const asked = new Map<string, number>();
  return (name, resolved) => {
    const lists = table[name] ?? [];
    const nth = asked.get(name) ?? 0;
    asked.set(name, nth + 1);
    const addresses = lists[Math.min(nth, lists.length - 1)] ?? [];
    const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    setImmediate(() => resolved(null, found));
  };
}

/** A client that may connect to 127.0.0.1 alone. */
export function narrowClient(options: Partial<HttpClientOptions> = {}): HttpClient {
  return testClient({ allowNetworks: ["127.0.0.1"], ...options });
}

/** Expects that none of these urls, `PORT` being a listener's, is sent there, and returns how each failed. */
export async function expectUnreached(
  urls: readonly string[],
  { client = narrowClient(), parts = {} }: { readonly client?: HttpClient; readonly parts?: RequestParts } = {},
): Promise<readonly Failed[]> {
  await using own = client;
  await using canary = await openCanary();
  const outcomes: Failed[] = [];
  for (const url of urls) outcomes.push(await failed(own, withPort(url, canary), parts));
  expect(canary.reached).toEqual([]);
  return outcomes;
}

/** The url with the canary's port. */
export function withPort(url: string, { port }: Canary): string {
  return url.replaceAll("PORT", String(port));
}

/** The request line and headers of the request that came as number `at` (from 0). */
export function headOf(peer: HttpPeer, at: number): string {
  return peer.received[at]?.head ?? "";
}
