import { expect, it } from "vitest";
import { type Health, openHealthServer } from "../../src/ops/health.ts";

const NOTHING = {
  mode: "send",
  positions: { current: null, received: null, confirmed: null },
  oldest: null,
  requests: { outbox: null, queued: 0, inFlight: 0 },
  lanesBehind: 0,
  stalled: null,
} as const;
const LIVE: Health = { ...NOTHING, state: "live", ready: true, detail: "leads; streaming", slot: "ok" };
const STARTING: Health = {
  ...NOTHING,
  state: "starting",
  ready: false,
  detail: "the database cannot be reached",
  slot: "unknown",
};
const open = (health: () => Health): ReturnType<typeof openHealthServer> =>
  openHealthServer({ host: "127.0.0.1", port: 0, health });

it("is healthy whatever the state, and ready where the daemon is", async () => {
  let now = STARTING;
  await using server = await open(() => now);
  const ask = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    return [response.status, await response.json()];
  };
  expect(await ask("/healthz")).toEqual([200, STARTING]);
  expect(await ask("/readyz")).toEqual([503, STARTING]);
  now = LIVE;
  expect(await ask("/healthz?verbose")).toEqual([200, LIVE]);
  expect(await ask("/readyz")).toEqual([200, LIVE]);
  expect(await ask("/")).toEqual([404, { error: "there is /healthz, /readyz and /metrics" }]);
});

it("answers HEAD without a body, and refuses other methods", async () => {
  await using server = await open(() => STARTING);
  const address = `http://127.0.0.1:${server.port}/readyz`;
  const head = await fetch(address, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([503, ""]);
  expect(Number(head.headers.get("content-length"))).toBeGreaterThan(0);
  const post = await fetch(address, { method: "POST", body: "x" });
  expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  await post.body?.cancel();
});

it("says so when its own state cannot be read", async () => {
  await using server = await open(() => {
    throw new Error("no state yet");
  });
  const response = await fetch(`http://127.0.0.1:${server.port}/readyz`);
  expect([response.status, await response.json()]).toEqual([500, { error: "no state yet" }]);
});

it("names the settings where the port is taken, and ends as what another start may mend", async () => {
  await using server = await open(() => LIVE);
  const second = openHealthServer({ host: "127.0.0.1", port: server.port, health: () => LIVE });
  await expect(second).rejects.toMatchObject({
    code: "LISTEN_FAILED",
    exitCode: 69,
    hint: expect.stringContaining("PGNETD_PORT") as unknown,
  });
});

it("closes while a connection is open", async () => {
  const server = await open(() => LIVE);
  await fetch(`http://127.0.0.1:${server.port}/healthz`);
  await server[Symbol.asyncDispose]();
  await expect(fetch(`http://127.0.0.1:${server.port}/healthz`)).rejects.toThrow("fetch failed");
});
