import { type LoadedConfig, readConfig } from "../config/load.ts";
import { openLogger } from "../ops/logger.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { run } from "./run.ts";

/** `pgnetd run`, from the command line: reads the settings, opens the log, serves. */
export async function runCommand({ config }: ConfigFlag, { env, stop }: CommandContext): Promise<void> {
  const load = (): LoadedConfig => readConfig({ env, file: config });
  await run({ load, log: await openLogger(load().config.log), stop });
}
