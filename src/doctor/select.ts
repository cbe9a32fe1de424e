import { PgnetdError } from "../base/errors.ts";
import { didYouMean } from "../config/nearest.ts";
import { quotable } from "../config/redact.ts";
import { type Check, GROUPS } from "./check.ts";
import { CHECKS } from "./checks.ts";

/** Which checks are asked for. */
export interface Selection {
  /** Ids and groups; all where empty. */
  readonly only: readonly string[];
  /** Ids and groups. */
  readonly skip: readonly string[];
  /** True before pgnetd is installed. */
  readonly before: boolean;
}

/** The checks of a selection, in order. Throws USAGE for a name that is neither an id nor a group. */
export function selectChecks({ only, skip, before }: Selection): readonly Check[] {
  const known = [...CHECKS.map(({ id }) => id), ...GROUPS];
  for (const name of [...only, ...skip]) {
    if (known.includes(name)) continue;
    throw new PgnetdError("USAGE", `there is no check and no group ${quotable(name)}${didYouMean(name, known)}`, {
      hint: `There is ${[...GROUPS].join(", ")}; and ${CHECKS.map(({ id }) => id).join(", ")}.`,
    });
  }
  const runs = CHECKS.filter(({ stage }) => stage === "always" || (stage === "before") === before);
  const isIn = (names: readonly string[], { id, group }: Check): boolean => names.includes(id) || names.includes(group);
  const chosen = runs.filter((check) => (only.length === 0 || isIn(only, check)) && !isIn(skip, check));
  if (chosen.length > 0) return chosen;
  throw new PgnetdError("USAGE", `none of these checks runs ${before ? "with" : "without"} --pre`, {
    hint: "See docs/doctor.md.",
  });
}
