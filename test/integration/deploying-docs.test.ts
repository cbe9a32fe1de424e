import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { codeBlocks, readDocument, ROOT } from "../support/markdown.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { shell } from "../support/shell.ts";

const blocks = codeBlocks(await readDocument("docs/deploying.md"));

/** The first block with this text, with roles and database of this test. */
function block(text: string, db: TestDatabase): string {
  const found = blocks.find((one) => one.text.includes(text))?.text ?? "";
  expect(found).not.toBe("");
  return found.replaceAll("my_database", db.name).replaceAll(/\bpgnetd_(owner|daemon)\b/g, `${db.name}_$1`);
}

function urlOf(db: TestDatabase, role: string, password: string): string {
  const url = new URL(db.url);
  url.username = `${db.name}_${role}`;
  url.password = password;
  return url.href;
}

async function dropRoles(db: TestDatabase): Promise<void> {
  for (const role of [`${db.name}_daemon`, `${db.name}_owner`]) {
    const made = await db.query("select from pg_roles where rolname = $1", [role]);
    if (made.length === 0) continue;
    await db.query(`drop owned by ${role} cascade`);
    await db.query(`drop role ${role}`);
  }
}

test.for([
  { grants: "open", flags: "" },
  { grants: "restricted", flags: "--grants restricted --callers pg_monitor" },
])(
  "with $grants grants the daemon's role serves what the owner's role migrated, and may not drop it",
  { timeout: 120_000 },
  async ({ flags }) => {
    await using db = await testDatabase({ migrated: false });
    await using receiver = await startReceiver();
    try {
      for (const statement of block("create role", db).trim().split("\n")) await db.query(statement);
      const owner = urlOf(db, "owner", "change me");
      const daemonRole = urlOf(db, "daemon", "change me, too");
      const migration = block("main.ts migrate", db).split("\n", 1)[0] ?? "";
      const printed = await shell(`cd '${ROOT}'; OWNER_URL='${owner}'\n${migration} ${flags}`, daemonRole);
      expect(printed).toContain("schema installed");
      {
        await using daemon = await startDaemon({ databaseUrl: daemonRole, env: { PGNETD_ENVIRONMENT: "production" } });
        await daemon.live();
        await db.query("select net.http_get($1)", [receiver.url("/")]);
        await receiver.waitFor(1);
        const commands = "pgnetd doctor --only rights,schema\npgnetd status\npgnetd replay --all";
        const found = await shell(`export PGNETD_ENVIRONMENT=production\n${commands}`, daemonRole);
        expect(found).toContain("0 fail, 0 warn");
        expect(found).toContain(`role ${db.name}_daemon`);
      }
      await expect(shell("pgnetd uninstall --yes --force", daemonRole)).rejects.toThrow("must be owner");
      await shell("PGNETD_ENVIRONMENT=production pgnetd drain --drop-slot", daemonRole);
      await expect(shell("pgnetd uninstall --yes", owner)).resolves.toContain("schema net is dropped");
    } finally {
      await dropRoles(db);
    }
  },
);

test("its commands install the unit, and the environment so that only root can read it", async () => {
  const root = await mkdtemp(join(tmpdir(), "pgnetd-etc-"));
  const said = (name: string): string => `echo ${name} "$@"`;
  const programs = { sudo: 'exec "$@"', npm: said("npm"), systemctl: said("systemctl"), node: said("node") };
  try {
    const commands = blocks.filter(({ text }) => text.includes("sudo")).map(({ text }) => text);
    const here = commands.join("").replaceAll("/opt/pgnetd", `'${ROOT}'`).replaceAll("/etc/", `'${root}'/`);
    expect(await shell(`OWNER_URL=postgres://db/app\n${here}`, "postgres://db/app", programs)).toBe(
      "npm ci --omit=dev\nnode src/cli/main.ts migrate\nsystemctl daemon-reload\nsystemctl enable --now pgnetd\n",
    );
    expect((await stat(join(root, "pgnetd/environment"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, "systemd/system/pgnetd.service"))).mode & 0o777).toBe(0o644);
  } finally {
    await rm(root, { recursive: true });
  }
});
