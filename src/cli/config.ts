import { describeConfig } from "../config/describe.ts";
import { readConfig } from "../config/load.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";

/** `pgnetd config`: prints the effective settings as a configuration file, passwords masked. */
export function printConfig({ config }: ConfigFlag, { env, print }: CommandContext): void {
  print(describeConfig(readConfig({ env, file: config })).trimEnd());
}
