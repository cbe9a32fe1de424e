import { installClient } from "./client.ts";
import { lineOf } from "./steps.ts";
import { installVirtualTime, realNow } from "./virtual-time.ts";

installVirtualTime();
installClient();

const { draw } = await import("./draw.ts");
const { play } = await import("./history.ts");

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs histories one after the other. */
export async function runHistories(options: {
  seed: number;
  histories: number;
  trace: boolean;
  first: boolean;
}): Promise<void> {
  const startedAt = realNow();
  let simulatedMs = 0;
  let failed = 0;
  let requests = 0;
  let started = 0;
  for (let index = 0; index < options.histories; index++) {
    const seed = options.seed + index;
    const history = draw(seed);
    const outcome = await play(history, options.trace ? say : null);
    simulatedMs += outcome.simulatedMs;
    requests += outcome.requests;
    started += outcome.started;
    if (outcome.harms.length === 0) continue;
    failed++;
    say(`seed ${seed}: ${outcome.harms.join("; ").slice(0, 400)}`);
    if (options.first) {
      say(`noticed after ${index + 1} histories`);
      break;
    }
    if (options.trace) for (const step of history.steps) say(lineOf(step));
  }
  const tookMs = realNow() - startedAt;
  say(
    `${options.histories} histories, ${failed} failed, ${requests} requests, ${started} starts, ${Math.round(simulatedMs / 1000)} s in ${(tookMs / 1000).toFixed(1)} s: ${Math.round(simulatedMs / tookMs)} times`,
  );
}
