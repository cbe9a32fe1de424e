import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { CASE, type Reply } from "./fuzz-reply.ts";

/** Answers the case with this number as `reply` says; some answers have no end, and some connections none. */
export async function perform(socket: Socket, reply: Reply, number: string): Promise<void> {
  const { cuts, pauseMs, end } = reply;
  const bytes = Buffer.from(reply.bytes);
  const place = bytes.indexOf(CASE);
  if (place !== -1) bytes.write(number.padStart(CASE.length, "0"), place, "latin1");
  socket.setNoDelay(true);
  let from = 0;
  for (const at of cuts.toSorted((a, b) => a - b)) {
    if (at <= from || at >= bytes.length || socket.destroyed) continue;
    socket.write(bytes.subarray(from, at));
    from = at;
    await delay(pauseMs);
  }
  if (!socket.destroyed) socket.write(bytes.subarray(from));
  if (end === "end") socket.end();
  else if (end === "reset") socket.resetAndDestroy();
}
