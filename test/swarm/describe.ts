import type { Plan } from "./draw.ts";
import type { Call, Fault, Shape, Step } from "./steps.ts";

/** The plan as a list for people. */
export function describePlan(plan: Plan): readonly string[] {
  const settings = Object.entries(plan.settings).map(([name, value]) => `${name} ${value}`);
  return [
    `seed ${plan.seed}`,
    `settings: ${settings.join(", ")}; requests time out after ${plan.timeoutMs} ms`,
    `calls: ${plan.calls.join(", ")}`,
    `requests with: ${plan.features.join(", ") || "nothing special"}`,
    `faults: ${plan.faults.join(", ") || "none"}`,
    ...plan.steps.map(describeStep),
  ];
}

function describeStep(step: Step): string {
  const what = step.is === "call" ? describeCall(step.call) : `FAULT ${describeFault(step.fault)}`;
  return `${String(step.atMs).padStart(6)} ms  ${what}`;
}

function describeCall(call: Call): string {
  switch (call.kind) {
    case "insert": {
      const each = call.transactions === 1 ? "" : `${call.transactions} times, one every ${call.everyMs} ms: `;
      const open = call.openMs > 0 ? `, open for ${call.openMs} ms` : "";
      return `${each}insert ${call.rows}, ${call.ending}${open}: ${describeShape(call.shape)}`;
    }
    case "cancel":
      return `cancel half of ${call.onlyDeferred ? "what is deferred" : "what waits"}, open for ${call.openMs} ms, ${call.commits ? "commit" : "rollback"}`;
    case "host settings":
      return `settings of destination ${call.destination}: rate ${call.rate}, concurrency ${call.concurrency}${call.paused ? ", paused" : ""}`;
    case "truncate":
    case "replay":
    case "worker restart":
    case "wake":
      return call.kind;
  }
}

function describeShape(shape: Shape): string {
  const parts = [`${shape.method} to destination ${shape.destination}`];
  if (shape.via === "insert") parts.push("inserted directly");
  if (shape.bodyBytes > 0) parts.push(`${shape.bodyBytes} bytes`);
  if (shape.maxAttempts > 1) parts.push(`${shape.maxAttempts} tries, of which ${shape.failures} fail`);
  if (shape.delayMs !== null) parts.push(`delayed by ${shape.delayMs} ms`);
  if (shape.lane !== null) parts.push(`lane ${shape.lane}`);
  if (shape.ownKey) parts.push("with a key of its own");
  if (shape.deduplicated) parts.push("deduplicated");
  return parts.join(", ");
}

/** A fault in words. */
export function describeFault(fault: Fault): string {
  const whose = "daemon" in fault ? ` daemon ${fault.daemon}` : "";
  const what = "connections" in fault ? `, ${fault.connections} connections` : "";
  const where = "destination" in fault ? ` at destination ${fault.destination}, ${fault.share * 100} %` : "";
  return `${fault.kind}${whose}${what}${where}${fault.forMs > 0 ? ` for ${fault.forMs} ms` : ""}`;
}
