import { loadConfig } from "../config/load.ts";
import { redact } from "../config/redact.ts";
import { GROUPS, type Result } from "../doctor/check.ts";
import { PROVIDER_NAMES } from "../doctor/provider.ts";
import { type Diagnosis, diagnose, failed, type Finding, ranked } from "../doctor/run.ts";
import { selectChecks } from "../doctor/select.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { paint, printable, table, type Tone } from "./paint.ts";

/** Options of `pgnetd doctor`. */
export interface DoctorFlags extends ConfigFlag {
  readonly only?: string;
  readonly skip?: string;
  readonly pre?: boolean;
  readonly url?: string;
  readonly json?: boolean;
}

/** `pgnetd doctor`: looks for everything that makes a set-up fail. Throws CHECK_FAILED where something does. */
export async function doctor(flags: DoctorFlags, { env, print, stop }: CommandContext): Promise<void> {
  const checks = selectChecks({ only: names(flags.only), skip: names(flags.skip), before: flags.pre === true });
  const config = loadConfig({ env, file: flags.config });
  const diagnosis = shown(await diagnose({ config, checks, env, url: flags.url, signal: stop }));
  const lines = flags.json === true ? [JSON.stringify(asJson(diagnosis), null, 2)] : asText(diagnosis);
  for (const line of lines) print(line);
  const problem = failed(diagnosis.findings);
  if (problem !== null) throw problem;
}

/** P11: what was found may quote anything. */
function shown({ server, findings }: Diagnosis): Diagnosis {
  const clean = (text: string): string => printable(redact(text));
  return {
    server,
    findings: findings.map(({ check, result }) => {
      const found = clean(result.found);
      return { check, result: "fix" in result ? { ...result, found, fix: clean(result.fix) } : { ...result, found } };
    }),
  };
}

function names(list: string | undefined): readonly string[] {
  return (list ?? "").split(",").filter((name) => name !== "");
}

const TONES: Readonly<Record<Result["status"], Tone>> = { ok: "good", warn: "caution", fail: "bad", skip: "faint" };

/** What should be mended first, then everything by group, then the sum. */
function asText({ server, findings }: Diagnosis): readonly string[] {
  const lines: string[] = [];
  if (server !== null) {
    const { provider, version, database, role } = server;
    lines.push(`${PROVIDER_NAMES[provider]} ${Math.floor(version / 10_000)}, database ${database}, role ${role}`, "");
  }
  for (const { check, result } of ranked(findings)) {
    lines.push(`${mark(result)} ${paint("strong", check.id)}: ${result.found}`);
    if ("fix" in result) lines.push(`     fix: ${result.fix}`);
    lines.push(paint("faint", `     see docs/doctor.md#${check.id}`), "");
  }
  const rest = findings.filter(({ result }) => !("fix" in result));
  const inGroups = GROUPS.flatMap((group) => rest.filter(({ check }) => check.group === group));
  lines.push(...table(inGroups.map(({ check, result }) => [mark(result), check.group, check.id, result.found])));
  return [...lines, "", summary(findings)];
}

function mark({ status }: Result): string {
  return paint(TONES[status], status.padEnd(4));
}

function summary(findings: readonly Finding[]): string {
  const counts = (["fail", "warn", "ok", "skip"] as const).map(
    (status) => `${findings.filter(({ result }) => result.status === status).length} ${status}`,
  );
  return counts.join(", ");
}

function asJson({ server, findings }: Diagnosis): unknown {
  const order = [...ranked(findings), ...findings.filter(({ result }) => !("fix" in result))];
  return {
    server,
    ok: failed(findings) === null,
    checks: order.map(({ check: { id, group }, result }) => ({ id, group, ...result, docs: `docs/doctor.md#${id}` })),
  };
}
