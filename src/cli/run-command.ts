import { type LoadedConfig, readConfig } from "../config/load.ts";
import { openLogger } from "../ops/logger.ts";
import type { CommandContext } from "./args.ts";
import { run } from "./run.ts";

/** `pgnetd run`, from the command line: reads the settings, opens the log, serves. */
export async function runCommand({ env, values, stop }: CommandContext): Promise<void> {
  const load = (): LoadedConfig => readConfig({ env, file: values.get("config") });
  await run({ load, log: await openLogger(load().config.log), stop });
}
