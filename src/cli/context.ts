import type { Environment } from "../config/load.ts";
import type { LiveView } from "./live-view.ts";

/** What a command is given beside its flags. */
export interface CommandContext {
  readonly env: Environment;
  /** Writes one line to standard output. */
  readonly print: (line: string) => void;
  /** Asks a person a question that is answered with yes or no; absent where there is nobody to ask. */
  readonly ask?: ((question: string) => Promise<boolean>) | null | undefined;
  /** Opens what is rewritten in place; absent where standard output is no terminal. */
  readonly live?: (() => LiveView) | null | undefined;
  /** Fires when the process is asked to end. */
  readonly stop: AbortSignal;
}

/** The flag of every command that reads settings. */
export interface ConfigFlag {
  /** Path of the YAML file. */
  readonly config?: string;
}
