import { describeConfig } from "../config/describe.ts";
import { readConfig } from "../config/load.ts";
import type { CommandContext } from "./args.ts";

/** `pgnetd config`: prints the effective settings as a configuration file, passwords masked. */
export function printConfig({ env, values, print }: CommandContext): void {
  print(describeConfig(readConfig({ env, file: values.get("config") })).trimEnd());
}
