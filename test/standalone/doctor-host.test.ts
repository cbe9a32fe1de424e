import { totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Result } from "../../src/doctor/check.ts";
import { diagnose } from "../../src/doctor/run.ts";
import { selectChecks } from "../../src/doctor/select.ts";
import { startDnsServer } from "../support/dns-server.ts";
import { doctorWith } from "../support/doctor.ts";
import { always, httpPeer } from "../support/http-peer.ts";
import { shell } from "../support/shell.ts";

const DATABASE_URL = "postgres://nobody@127.0.0.1:1/none";
const CA = fileURLToPath(new URL("../support/tls/ca.pem", import.meta.url));
const KEY = fileURLToPath(new URL("../support/tls/server.key", import.meta.url));

/** What `dns` says of these servers. */
async function dns(server: string): Promise<Result | undefined> {
  const env = { DATABASE_URL };
  const checks = selectChecks({ only: ["dns"], skip: [], before: false });
  const { findings } = await diagnose({ config: loadConfig({ env }), checks, env, nameServers: [server] });
  return findings[0]?.result;
}

test("descriptors warns where fewer files may be open than the settings may need", async () => {
  const text = await shell("ulimit -n 400; pgnetd doctor --only descriptors --json", DATABASE_URL);
  const { checks } = JSON.parse(text) as { checks: unknown[] };
  expect(checks).toMatchObject([
    {
      status: "warn",
      found: "up to 400 files may be open, and 1604 may be needed: beyond that requests wait",
      fix: expect.stringContaining("LimitNOFILE=1604") as unknown,
    },
  ]);
});

test.skipIf(totalmem() > 128 * 1024 ** 3)("memory warns where the settings allow more than there is", async () => {
  const large = { PGNETD_MEMORY_BYTES: "64GiB", PGNETD_ANSWER_MEMORY_BYTES: "64GiB" };
  const report = await doctorWith({ DATABASE_URL, ...large }, "--only", "memory");
  expect(report.of("memory")).toMatchObject({
    status: "warn",
    found: expect.stringContaining("the settings allow the daemon 262335 MiB: under load it may be killed") as unknown,
  });
  expect((await doctorWith({ DATABASE_URL }, "--only", "memory")).ids("ok")).toEqual(["memory"]);
});

test("tls-store fails for a file of authorities that is missing, or has no certificate", async () => {
  const look = async (file: string): Promise<unknown> =>
    (await doctorWith({ DATABASE_URL, NODE_EXTRA_CA_CERTS: file }, "--only", "tls-store")).of("tls-store");
  expect(await look("/nowhere.pem")).toMatchObject({
    status: "fail",
    found: expect.stringContaining("ENOENT") as unknown,
  });
  expect(await look(KEY)).toMatchObject({ status: "fail" });
  expect(await look(CA)).toMatchObject({ status: "ok" });
});

test("dns warns where no name server answers, and not where one refuses", async () => {
  await using silent = await startDnsServer(() => "silence");
  await using refusing = await startDnsServer(() => "refused");
  expect(await dns(silent.address)).toMatchObject({
    status: "warn",
    found: expect.stringContaining(`no name server answers (${silent.address})`) as unknown,
  });
  expect(await dns(refusing.address)).toMatchObject({ status: "ok" });
});

test("url fails for an address that is refused, and one where nobody listens, and says what to do", async () => {
  await using peer = await httpPeer(always("ok"));
  const url = `http://127.0.0.1:${peer.port}/?secret=hunter2`;
  const look = async (to: string, env: Readonly<Record<string, string>> = {}): Promise<unknown> =>
    (await doctorWith({ DATABASE_URL, ...env }, "--only", "url", "--url", to)).of("url");
  expect(await look(url)).toMatchObject({
    status: "fail",
    found: expect.stringMatching(/ ended with refused_address: /) as unknown,
    fix: expect.stringContaining("PGNETD_ALLOW_NETWORKS") as unknown,
  });
  const allowed = { PGNETD_ALLOW_NETWORKS: "127.0.0.0/8" };
  expect(await look(url, allowed)).toMatchObject({
    status: "ok",
    found: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/\?\*\*\* answered 200 in \d+ ms$/) as unknown,
  });
  expect(await look("http://127.0.0.1:1/", allowed)).toMatchObject({
    status: "fail",
    found: expect.stringContaining("ended with connect") as unknown,
  });
});

test("without a connection the checks of the machine and of the way out still run", async () => {
  const report = await doctorWith({ DATABASE_URL, PGNETD_PORT: String(await freePort()) }, "--skip", "dns");
  expect(report.ids("fail")).toEqual(["login"]);
  expect(report.ids("ok")).toEqual(expect.arrayContaining(["memory", "descriptors", "tls-store"]));
  expect(report.of("wal-level")).toMatchObject({ status: "skip", found: "there is no connection" });
});
