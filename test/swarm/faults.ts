import { setTimeout as delay } from "node:timers/promises";
import { requireAbsentStandby, requireNoStandby } from "../support/absent-standby.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import type { Traffic } from "../support/fault-network.ts";
import type { DaemonSlot } from "./daemon-slot.ts";
import type { Connections, Fault } from "./steps.ts";
import { isMisconduct } from "./steps.ts";
import type { World } from "./world.ts";

/** Lets a fault happen; resolves when it is over and what it took away is back. */
export async function inflict(world: World, fault: Fault): Promise<void> {
  const end = world.journal.begin(fault);
  try {
    await perform(world, fault);
  } catch (error) {
    // Another fault was quicker: the server is not there, or the session has ended.
    world.journal.say(`${fault.kind}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    end();
  }
}

async function perform(world: World, fault: Fault): Promise<void> {
  const { db, destinations } = world;
  if (isMisconduct(fault)) {
    await destinations.misbehave(fault.destination, fault.kind, fault.share, fault.forMs);
    return;
  }
  switch (fault.kind) {
    case "kill":
    case "stop":
    case "pause":
      return daemonOf(world, fault.daemon)[fault.kind](fault.forMs);
    case "server crash":
    case "server restart":
      if (db.server.pid === null) return;
      await db.server.stop(fault.kind === "server crash" ? "immediate" : "fast");
      await delay(fault.forMs);
      return db.server.start();
    case "cut":
    case "half-open":
    case "cut off":
      return disturb(world, fault);
    case "end walsender":
      await db.query("select pg_terminate_backend(active_pid) from pg_replication_slots where active");
      return;
    case "end pool":
      await db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'pgnetd%' and backend_type = 'client backend'`,
      );
      return;
    case "drop slot":
      return dropSlot(world);
    case "row locks":
      return holdOpen(world, "select from net.http_request_queue where id % 2 = 0 for update", fault.forMs);
    case "snapshot":
      return holdOpen(world, "select pg_current_xact_id(), (select count(*) from net.http_request_queue)", fault.forMs);
    case "absent standby":
      return loseStandby(world, fault.forMs);
  }
}

function daemonOf({ daemons }: World, index: number): DaemonSlot {
  const daemon = daemons[index];
  if (daemon === undefined) throw new RangeError(`there is no daemon ${index}`);
  return daemon;
}

/** Which connections these are for the network: with TLS it cannot tell them apart. */
function trafficOf({ plan }: World, connections: Connections): readonly Traffic[] {
  if (plan.settings.tls) return ["sql"];
  return connections === "all" ? ["replication", "sql"] : [connections];
}

async function disturb(world: World, fault: Extract<Fault, { readonly connections: Connections }>): Promise<void> {
  const { network } = daemonOf(world, fault.daemon);
  for (const traffic of trafficOf(world, fault.connections)) {
    if (fault.kind === "cut") network.cut(traffic);
    else if (fault.kind === "half-open") network.freeze(traffic);
    else network.cutOff(traffic);
  }
  if (fault.kind !== "cut off") return;
  await delay(fault.forMs);
  for (const traffic of trafficOf(world, fault.connections)) network.restore(traffic);
}

async function dropSlot({ db }: World): Promise<void> {
  await eventually(async () => {
    await db.query("select pg_terminate_backend(active_pid, 1000) from pg_replication_slots where active");
    const dropped = await db.query(
      "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active",
    );
    return dropped.length > 0;
  }, 3_000);
}

async function loseStandby({ db }: World, forMs: number): Promise<void> {
  try {
    await requireAbsentStandby(db);
    await delay(forMs);
  } finally {
    // The server may be stopped just now.
    await eventually(async () => {
      await requireNoStandby(db);
      return true;
    });
  }
}

async function holdOpen({ db }: World, statement: string, forMs: number): Promise<void> {
  await using client = await connectClient(db.url);
  await client.query("begin isolation level repeatable read");
  await client.query(statement);
  await delay(forMs);
  await client.query("rollback");
}
