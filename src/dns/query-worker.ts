import { parentPort, workerData } from "node:worker_threads";
import { firstOf } from "./answer.ts";
import { Queries } from "./queries.ts";
import type { Query, QueryThreadData, Reply } from "./query-thread.ts";

const { servers } = workerData as QueryThreadData;
const queries = new Queries(servers);

parentPort?.on("message", ({ id, name }: Query) => {
  if (name === null) queries.renew();
  else void queries.ask(name).then((answer) => reply({ id, answer: firstOf(answer) }));
});

function reply(message: Reply): void {
  parentPort?.postMessage(message);
}
