import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { systemdUnit, textOf } from "../support/deployment-files.ts";

const run = promisify(execFile);

/** The unit as it would be where Node is the one of the tests. */
const text = textOf("config/systemd/pgnetd.service").replaceAll("/usr/bin/node", process.execPath);
const started = systemdUnit(text).get("ExecStartPost")?.[0] ?? "false";

async function isThere(): Promise<boolean> {
  return run("systemd-analyze", ["security", "--help"]).then(
    () => true,
    () => false,
  );
}

const found = await isThere();
if (!found) {
  process.stderr.write(
    "\nSKIPPED: the systemd unit is not verified, since there is no systemd-analyze: install systemd.\n\n",
  );
}

async function analyze(...args: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-unit-"));
  try {
    await writeFile(join(folder, "pgnetd.service"), text);
    const { stdout, stderr } = await run("systemd-analyze", [...args, join(folder, "pgnetd.service")]);
    return stderr + stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the systemd unit", () => {
  test.skipIf(!found)("is valid", async () => {
    expect(await analyze("verify", "--man=no")).not.toContain("pgnetd.service");
  });

  test.skipIf(!found)("is hardened: its exposure level is 1.3 or less of 10", async () => {
    expect(await analyze("security", "--offline=true", "--no-pager", "--threshold=13")).toContain("OK");
  });

  test("is started when the daemon answers at its port, and not before", async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      // As while nothing is served yet, the first time.
      if (connections === 1) socket.destroy();
      else socket.end("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const env = { MAINPID: String(process.pid), PGNETD_PORT: String(port) };
      expect(await run("sh", ["-c", `exec ${started}`], { env, timeout: 20_000 })).toEqual({ stdout: "", stderr: "" });
      expect(connections).toBe(2);
    } finally {
      server.close();
    }
  });

  test("fails to start where the daemon has ended", async () => {
    const { pid = 0 } = await ended();
    const env = { MAINPID: String(pid), PGNETD_PORT: String(await freePort()) };
    await expect(run("sh", ["-c", `exec ${started}`], { env, timeout: 20_000 })).rejects.toMatchObject({ code: 1 });
  });
});

async function ended(): Promise<{ readonly pid?: number | undefined }> {
  const { child } = run(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.once("exit", resolve));
  return child;
}
