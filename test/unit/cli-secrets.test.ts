import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { reportOf } from "../../src/cli/report.ts";
import type { Environment } from "../../src/config/load.ts";
import { COMPILE_CACHE } from "../support/compile-cache.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pgnetd-secrets-"));
const sockets = new Set<Socket>();
const server = createServer((socket) => {
  sockets.add(socket);
  socket.on("error", () => undefined).on("data", (data) => answer(socket, Buffer.from(data)));
});
let address = "";

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

/** The most talkative server there could be: asks for the password in clear text, and quotes all it was given in its refusal. */
function answer(socket: Socket, data: Buffer): void {
  const isPassword = data[0] === 0x70;
  if (!isPassword && data.readInt32BE(4) === 80_877_103) return void socket.write("N"); // no TLS
  if (!isPassword && !data.includes("hasty")) return void socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
  const quoted = data.toString("latin1").replaceAll("\0", " ");
  const fields = Buffer.from(`SFATAL\0C28000\0Mrefused: ${quoted}\0\0`, "latin1");
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(fields.length + 4, 1);
  socket.end(Buffer.concat([head, fields]));
}

/** A secret, in two halves that must not be seen either: something between them may end what is masked too early. */
interface Secret {
  readonly halves: readonly [string, string];
  readonly text: string;
}

// Not with AT at its end, which stands for the address of the server.
const half = fc
  .stringMatching(/^[A-Za-z]{7,11}[A-SU-Za-z]$/)
  .map((letters) => `${letters.slice(0, 4)}7${letters.slice(4)}`);
const secret = fc
  .tuple(
    half,
    fc.constantFrom("", "/", "?", "#", "@", ":", ";", "&", "=", "%", "%20", "'", '"', "\\", "é", "{", "$"),
    half,
  )
  .map(([first, between, second]): Secret => ({ halves: [first, second], text: first + between + second }));

/** Connection strings with a secret in them, to a server AT: right, nearly right, and for other programs. */
const urls: readonly ((text: string) => string)[] = [
  (text) => `postgres://u:${encodeURIComponent(text)}@AT/d`,
  (text) => `postgres://u:${encodeURIComponent(text)}@AT/d?user=hasty`,
  (text) => `postgres://u:${text}@AT/d`,
  (text) => `postgres://u:1${text}@AT/d?application_name=x`,
  (text) => `postgres://u:12/${text}@AT/d`,
  (text) => `postgres://u@${text}@AT/d`,
  (text) => `postgres://u@AT/d?password=${encodeURIComponent(text)}`,
  (text) => `postgres://u@AT/d?pass%77ord=${encodeURIComponent(text)}`,
  (text) => `postgres://u@AT/d?PASSWORD=${text}`,
  (text) => `postgres://u@AT/d?${text}`,
  (text) => `postgres://u@AT/d?sslmode=${text}`,
  (text) => `postgres://hasty@AT/d?options=-c%20password%3D${encodeURIComponent(text)}`,
  (text) => `postgres://hasty@AT/d?options=PGPASSWORD%3D${encodeURIComponent(text)}`,
  (text) => `postgres://hasty@AT/d?options=${text}`,
  (text) => `postgres://u@AT/d?sslkey=${encodeURIComponent(text)}`,
  (text) => `postgres://u@AT/d?sslrootcert=/none/${text}`,
  (text) => `postgres://u:${text}@h:port/d`,
  (text) => `postgres://u:${text.replaceAll("@", "")}`, // What is behind an @ is the host.
  (text) => `postgres:u:${text}@h/d`,
  (text) => `u:${text}@h/d`,
  (text) => `jdbc:postgresql://h/d?user=u;password=${text}`,
  (text) => `mysql://u:${text}@h/d`,
  (text) => `host=AT user=u password=${text}`,
  (text) => `host=AT user=u password='${text} x'`,
  (text) => `PGPASSWORD=${text} postgres://h/d`,
  (text) => `"postgres://u:${text}@h/d"`,
  (text) => `{"url": "postgres://u:${text}@h/d"}`,
  (text) => `{{ ${text} }}`,
  (text) => `*${text}`,
  (text) => text,
];

const DATABASE_COMMANDS = [
  "config",
  "migrate",
  "status",
  "drain",
  "replay --all",
  "adopt",
  "adopt --discard",
  "uninstall",
  "uninstall --yes",
];

/** What a command is given: its settings, and what the file SETTINGS holds. */
interface Given {
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly file?: string;
}

const RIGHT = { DATABASE_URL: "postgres://u@AT/d" };
const SETTINGS = ["PGNETD_PORT", "PGNETD_TTL", "PGNETD_ALLOW_NETWORKS", "PGNETD_CONFIG"];
const FLAGS = [[], ["--grants"], ["--callers"], ["--config"], ["--id"], ["--port"]];

/** All ways to give `text`, the secret or what has it inside, to a command. */
function waysToGive(command: readonly string[], text: string, plain: string): readonly Given[] {
  const fromFile = (file: string): Given => ({ argv: [...command, "--config", "SETTINGS"], env: RIGHT, file });
  return [
    { argv: command, env: { DATABASE_URL: text } },
    { argv: command, env: { ...RIGHT, PGPASSWORD: plain } },
    { ...fromFile(`database:\n  url: ${text}\n`), env: {} },
    fromFile(`database:\n  ${text}: x\n`),
    fromFile(`${text}: x\n`),
    ...SETTINGS.map((name) => ({ argv: command, env: { ...RIGHT, [name]: text } })),
    ...FLAGS.map((flag) => ({ argv: [...command, ...flag, text], env: RIGHT })),
    { argv: [text, ...command], env: RIGHT },
    { argv: [...command, `--${text}`], env: RIGHT },
  ];
}

const given = fc
  .tuple(secret, fc.constantFrom(...urls), fc.constantFrom(...DATABASE_COMMANDS), fc.nat(), fc.boolean())
  .map(([one, url, command, pick, asUrl]) => {
    const ways = waysToGive(command.split(" "), url(one.text), one.text);
    return { one, way: asUrl ? ways[0] : ways[pick % ways.length] };
  });

/** Everything that a command writes, with stacks. */
async function outputOf({ argv, env, file = "" }: Given): Promise<string> {
  const path = join(folder, "settings.yaml");
  const real = (text: string): string => text.replaceAll("AT/", `${address}/`).replaceAll("SETTINGS", path);
  writeFileSync(path, real(file));
  const lines: string[] = [];
  vi.stubEnv("PGPASSWORD", env["PGPASSWORD"]);
  try {
    const context = {
      env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, real(value ?? "")])),
      print: (line: string) => void lines.push(line),
      stop: AbortSignal.abort(),
    };
    await runProgram(argv.map(real), context);
  } catch (error) {
    lines.push(reportOf(error, true).text);
  }
  return lines.join("\n");
}

it("P11: no command writes a secret, wherever it was given", { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(given, async ({ one, way }) => {
      const output = await outputOf(way ?? { argv: [], env: {} });
      for (const part of one.halves) expect(output).not.toContain(part);
    }),
    { numRuns: 400 },
  );
});

it("P11: nor does the daemon's log", async () => {
  const password = "hunter2hunter2";
  const url = `postgres://hasty:${password}@${address}/d?options=-c%20password%3D${password}`;
  const child = spawn(process.execPath, [MAIN, "run"], {
    env: {
      PATH: process.env["PATH"],
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      DATABASE_URL: url,
      PGNETD_HOST: "127.0.0.1",
      PGNETD_PORT: "0",
      PGNETD_LOG_LEVEL: "debug",
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await expect.poll(() => output, { timeout: 20_000 }).toContain("refused: ");
  child.kill("SIGTERM");
  await once(child, "close");
  expect(output).toContain("options");
  expect(output).not.toContain(password);
});
