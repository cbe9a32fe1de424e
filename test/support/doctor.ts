import { runProgram } from "../../src/cli/program.ts";

/** One finding of `pgnetd doctor --json`. */
export interface FoundByDoctor {
  readonly id: string;
  readonly group: string;
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly found: string;
  readonly fix?: string;
}

/** What `pgnetd doctor --json` said. */
export interface DoctorReport {
  /** In the order of the report. */
  readonly checks: readonly FoundByDoctor[];
  readonly failure: unknown;
  /** What one check found; throws where it did not run. */
  of(id: string): FoundByDoctor;
  /** The ids of those with a status, in order. */
  ids(status: FoundByDoctor["status"]): readonly string[];
}

/** Runs `pgnetd doctor` against `url`. */
export async function doctor(url: string, ...argv: readonly string[]): Promise<DoctorReport> {
  return doctorWith({ DATABASE_URL: url }, ...argv);
}

/** Runs `pgnetd doctor` with these environment variables. */
export async function doctorWith(
  env: Readonly<Record<string, string>>,
  ...argv: readonly string[]
): Promise<DoctorReport> {
  const lines: string[] = [];
  const context = { env, print: (line: string) => void lines.push(line), stop: new AbortController().signal };
  const failure: unknown = await runProgram(["doctor", "--json", ...argv], context).then(
    () => null,
    (error: unknown) => error,
  );
  const text = lines.join("\n");
  if (text === "") throw failure;
  const { checks } = JSON.parse(text) as { readonly checks: readonly FoundByDoctor[] };
  return {
    checks,
    failure,
    of(id) {
      const found = checks.find((one) => one.id === id);
      if (found === undefined) throw new Error(`no check ${id} ran`);
      return found;
    },
    ids: (status) => checks.filter((one) => one.status === status).map(({ id }) => id),
  };
}
