import { parseArgs } from "node:util";

import { substitute } from "./substitutes.ts";
import { SWITCHES } from "./switches.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    histories: { type: "string", default: "100" },
    off: { type: "string", default: "" },
    trace: { type: "boolean", default: false },
    first: { type: "boolean", default: false },
  },
});

const off = SWITCHES.find(({ name }) => name === values.off);
if (values.off !== "" && off === undefined) throw new Error(`there is no switch ${values.off}`);
substitute(off?.patches ?? []);
const { runHistories } = await import("./run.ts");
await runHistories({
  seed: Number(values.seed),
  histories: Number(values.histories),
  trace: values.trace,
  first: values.first,
});
