import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADVISORIES, type AdvisoryId } from "../support/advisories.ts";
import { addressCases } from "../support/advisory-cases/addresses.ts";
import { type Cases, openAdvisoryLab } from "../support/advisory-cases/cases.ts";
import { messageCases } from "../support/advisory-cases/messages.ts";
import { secretCases } from "../support/advisory-cases/redirects.ts";
import { resourceCases } from "../support/advisory-cases/resources.ts";
import type { Lab } from "../support/fuzz-lab.ts";

const CASES: Cases<AdvisoryId> = { ...addressCases, ...secretCases, ...messageCases, ...resourceCases };

let lab: Lab | undefined;
beforeAll(async () => {
  lab = await openAdvisoryLab();
});
afterAll(async () => lab?.[Symbol.asyncDispose]());

describe.each(Object.values(ADVISORIES))("public advisories: $topic", ({ list }) => {
  test.each(list.map(({ id, product, was, here }) => [id, product, was, here] as const))(
    "%s in %s, where %s: here %s",
    async (id) => {
      expect.hasAssertions();
      if (lab === undefined) throw new Error("the daemon did not start");
      await CASES[id](lab);
    },
  );
});
