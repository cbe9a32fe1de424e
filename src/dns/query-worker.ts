import { parentPort, workerData } from "node:worker_threads";
import { firstOf } from "./answer.ts";
import { Queries } from "./queries.ts";
import type { Query, QueryThreadData, Reply } from "./query-thread.ts";

// Null outside of a thread, as where the image's cache of compiled code is filled.
const data = workerData as QueryThreadData | null;
const queries = new Queries(data?.servers);

parentPort?.on("message", ({ id, name }: Query) => {
  if (name === null) queries.renew();
  else void queries.ask(name).then((answer) => reply({ id, answer: firstOf(answer) }));
});

function reply(message: Reply): void {
  parentPort?.postMessage(message);
}
