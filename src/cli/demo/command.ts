import { openLogger } from "../../ops/logger.ts";
import type { CommandContext } from "../args.ts";
import { demo } from "./demo.ts";

/** The command `pgnetd demo`. What the daemon warns of goes to standard error. */
export async function demoCommand({ switches, env, print, stop }: CommandContext): Promise<void> {
  const log = await openLogger({ level: "warn", to: { write: (line) => void process.stderr.write(line) } });
  await demo({ once: switches.has("once"), env, log, print }, stop);
}
