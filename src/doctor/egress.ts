import { X509Certificate } from "node:crypto";
import { promises as dns } from "node:dns";
import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";

import { toError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import { openClient } from "../http/mode.ts";
import type { FailureCode } from "../http/outcome.ts";
import { type Check, type CheckContext, failure, ok, type Result, skipped, warning } from "./check.ts";

/** Whether requests can leave from here. */
export const EGRESS_CHECKS: readonly Check[] = [
  { id: "tls-store", group: "egress", stage: "always", on: "host", run: checkCertificates },
  { id: "dns", group: "egress", stage: "always", on: "host", run: checkNames },
  { id: "url", group: "egress", stage: "always", on: "host", run: checkUrl },
];

/** Node reads this file at its start, and says nothing but a warning where it cannot. */
async function checkCertificates({ env }: CheckContext): Promise<Result> {
  const file = env["NODE_EXTRA_CA_CERTS"] ?? "";
  if (file !== "") {
    try {
      const text = await readFile(file, "utf8");
      // Throws for anything that is no certificate.
      void new X509Certificate(text);
    } catch (error) {
      return failure(
        `NODE_EXTRA_CA_CERTS names a file without a certificate that can be read: ${toError(error).message}`,
        "correct the path, or the file: certificates in PEM, one after the other",
      );
    }
  }
  const count = getCACertificates("default").length;
  if (count > 0) return ok(`${count} certificate authorities are trusted`);
  return failure(
    "no certificate authority is trusted: every request by https fails",
    "install ca-certificates, and do not run Node with --use-openssl-ca where it finds none",
  );
}

/** How soon a server must say anything, in milliseconds. */
const DNS_MS = 2_000;

/** Codes of c-ares for servers that did not answer; any other is an answer. */
const SILENT: ReadonlySet<string> = new Set(["ETIMEOUT", "ECONNREFUSED", "ECANCELLED"]);

/** Asks for the root: every server has an answer to that, be it a refusal. */
async function checkNames({ nameServers }: CheckContext): Promise<Result> {
  const resolver = new dns.Resolver({ timeout: DNS_MS, tries: 1 });
  if (nameServers !== null) resolver.setServers(nameServers);
  const servers = resolver.getServers();
  try {
    await resolver.resolveNs(".");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (SILENT.has(code)) {
      return warning(
        `no name server answers (${servers.join(", ") || "none is configured"}): names that the hosts file has not cannot be found`,
        "name servers that can be reached from here in /etc/resolv.conf, or open port 53 to them",
      );
    }
  }
  return ok(`name servers answer: ${servers.join(", ")}`);
}

const URL_TIMEOUT_MS = 10_000;

/** What to do about a request that got no answer. */
const FIXES: Readonly<Partial<Record<FailureCode, string>>> = {
  refused_address:
    "name the address or its network in http.allowNetworks (PGNETD_ALLOW_NETWORKS), if it is meant to be reached; private stands for all private networks",
  dns: "look the name up in the daemon's own container or host: hosts file, search and ndots of resolv.conf apply",
  tls: "trust its certificate authority: NODE_EXTRA_CA_CERTS=<file> for the daemon",
  bad_request: "give an absolute url that begins with http:// or https://",
};

async function checkUrl({ url, config }: CheckContext): Promise<Result> {
  if (url === null) return ok("none is chosen; --url sends a request to one");
  if (config.http.mode === "capture") return skipped("http.mode is capture: nothing is sent");
  await using client = openClient("send", {
    ...config.http,
    userAgent: "pgnetd doctor",
    connectionsPerOrigin: 1,
  });
  const options = {
    maxAttempts: 1,
    retryFirstMs: 0,
    retryMaxMs: 0,
    maxRedirects: config.http.maxRedirects,
    keep: "status",
  } as const;
  const outcome = await client.send(
    {
      id: 0n,
      method: "GET",
      url,
      headers: [],
      body: null,
      timeoutMs: URL_TIMEOUT_MS,
      created: "",
      attempts: 0,
      options,
      bytes: 0,
    },
    { idempotencyKey: null },
  );
  if (outcome.kind === "answered") {
    return ok(`${redact(url)} answered ${outcome.status} in ${Math.round(outcome.timings.totalMs)} ms`);
  }
  const detail = outcome.detail === null || outcome.detail === undefined ? "" : ` (${outcome.detail})`;
  return failure(
    `a request from here to ${redact(url)} ended with ${outcome.code}: ${outcome.message}${detail}`,
    FIXES[outcome.code] ?? "see whether a firewall, a proxy or the destination itself is in the way",
  );
}
