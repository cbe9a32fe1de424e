import { PgnetdError } from "../base/errors.ts";
import { leastAnswerMemory } from "./answer-memory.ts";
import { secretsOf } from "./database-url.ts";
import { type FileValues, readConfigFile } from "./file.ts";
import { didYouMean } from "./nearest.ts";
import { learnSecrets, quotable } from "./redact.ts";
import { ALL_SETTINGS, type Config, type NamedSetting, SECTIONS } from "./settings.ts";

/** Environment variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where settings come from: the environment wins over the file, the file over the defaults. */
export interface ConfigInput {
  readonly env: Environment;
  /** Path of the YAML file; without it, that of PGNETD_CONFIG, if any. */
  readonly file?: string | undefined;
}

/** Where the value of one setting came from. */
export type Source = "default" | "file" | "environment";

/** The effective settings, and the source of each by its key. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: ReadonlyMap<string, Source>;
}

/** Reads all settings. Throws one CONFIG_INVALID that lists every problem. */
export function loadConfig(input: ConfigInput): Config {
  return readConfig(input).config;
}

/** As `loadConfig`, and says where each value came from. */
export function readConfig({ env, file }: ConfigInput): LoadedConfig {
  const path = file ?? given(env, "PGNETD_CONFIG");
  const inFile: FileValues = path === undefined ? { values: new Map(), problems: [] } : readConfigFile(path);
  const problems = [...unknownVariables(env), ...inFile.problems];
  const sources = new Map<string, Source>();
  const sections = new Map(Object.keys(SECTIONS).map((section) => [section, new Map<string, unknown>()]));
  for (const setting of ALL_SETTINGS) {
    const [source, raw] = pick(setting, env, inFile.values);
    sources.set(setting.key, source);
    if (raw === undefined) {
      problems.push(`${setting.key} (${setting.env}) is required; it must be ${setting.kind.rule}`);
      continue;
    }
    const parsed = setting.kind.schema.safeParse(raw);
    if (parsed.success) sections.get(setting.section)?.set(setting.name, parsed.data);
    else problems.push(`${setting.key} (${setting.env}) ${shown(setting, raw)}${parsed.error.issues[0]?.message}`);
  }
  const config = Object.fromEntries([...sections].map(([name, values]) => [name, Object.fromEntries(values)]));
  if (problems.length === 0) problems.push(...contradictions(config as unknown as Config));
  if (problems.length > 0) throw invalid(problems);
  learn(config as unknown as Config, env);
  return { config: config as unknown as Config, sources };
}

/** So that they are masked in what others say, too: driver, server, system. */
function learn({ database, page }: Config, env: Environment): void {
  const secrets = [...secretsOf(database.url), env["PGPASSWORD"] ?? "", page.token ?? "", page.readToken ?? ""];
  learnSecrets(secrets.filter((secret) => secret !== ""));
}

/** What holds between settings, each of which is right by itself. */
function contradictions(config: Config): readonly string[] {
  const { slot, http, results } = config;
  const problems: string[] = [];
  if (slot.fenceMs * 4 > slot.senderTimeoutMs * 3)
    problems.push(
      `slot.fenceMs (PGNETD_FENCE_MS) is ${slot.fenceMs}: must be at most three quarters of slot.senderTimeoutMs (PGNETD_SENDER_TIMEOUT_MS), which is ${slot.senderTimeoutMs}`,
    );
  const least = leastAnswerMemory(config);
  if (results.memoryBytes !== null && results.memoryBytes < least)
    problems.push(
      `results.memoryBytes (PGNETD_ANSWER_MEMORY_BYTES) is ${results.memoryBytes}: must be at least ${least}, four times http.maxResponseBytes (PGNETD_MAX_RESPONSE_BYTES), which is ${http.maxResponseBytes}, and 16KiB for each of http.concurrency (PGNETD_CONCURRENCY), which is ${http.concurrency}`,
    );
  return problems;
}

function pick(setting: NamedSetting, env: Environment, inFile: ReadonlyMap<string, unknown>): [Source, unknown] {
  const fromEnv = given(env, setting.env);
  if (fromEnv !== undefined) return ["environment", fromEnv];
  if (inFile.has(setting.key)) return ["file", inFile.get(setting.key)];
  return ["default", setting.fallback];
}

/** The value of a variable. Empty is as good as unset: `${NAME:-}` in a compose file gives it so. */
function given(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value.trim() === "" || fromServiceLinks(name, value) ? undefined : value;
}

/**
 * Kubernetes sets such variables in every pod beside a service called `pgnetd`; PGNETD_PORT then holds a URL.
 * See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
function fromServiceLinks(name: string, value: string): boolean {
  if (/^PGNETD_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/.test(name))
    return true;
  return name === "PGNETD_PORT" && /^(tcp|udp|sctp):\/\//.test(value);
}

function unknownVariables(env: Environment): readonly string[] {
  const known = [...ALL_SETTINGS.map((setting) => setting.env), "PGNETD_CONFIG"];
  return Object.entries(env)
    .filter(
      ([name, value]) => name.startsWith("PGNETD_") && !known.includes(name) && !fromServiceLinks(name, value ?? ""),
    )
    .map(([name]) => `${name} is not a setting${didYouMean(name, known)}`);
}

/** Nothing of a secret that is not understood is shown: no part of it is known to be none. */
function shown(setting: NamedSetting, raw: unknown): string {
  if (setting.masked !== undefined) return "";
  return `is ${typeof raw === "string" ? JSON.stringify(quotable(raw)) : quotable(String(raw))}: `;
}

function invalid(problems: readonly string[]): PgnetdError {
  if (problems.length === 1) return new PgnetdError("CONFIG_INVALID", problems[0] ?? "");
  const list = problems.map((problem) => `\n  - ${problem}`).join("");
  return new PgnetdError("CONFIG_INVALID", `${problems.length} problems in the configuration:${list}`, {
    hint: "Fix the settings named in the message.",
  });
}
