import type { World } from "./world.ts";

/** The referee: lets everything that can happen happen, until nothing is left; then what still waits is lost. */
export async function settle(world: World): Promise<void> {
  for (const transaction of world.transactions) {
    if (transaction.at === "open") world.record(transaction);
    if (transaction.at === "recorded") world.reveal(transaction);
  }
  world.connect(false);
  for (let round = 0; round < 200; round++) {
    while (world.stream()) world.confirm();
    world.returnSweep(false);
    while (world.flights > 0) {
      world.answer(0);
      await turn();
    }
    while (world.writes > 0) world.writeBack(0);
    await turn();
    world.clock.advance(1_000);
    await turn();
    if (world.isDone) break;
  }
  for (const { created } of world.left()) world.harms.push(`lost ${created}`);
  world.end();
}

/** Lets the dispatcher's promises run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
