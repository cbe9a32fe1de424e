import type pg from "pg";

import { PgnetdError } from "../base/errors.ts";
import type { Decoder } from "../wal/events.ts";
import type { Lsn } from "../pg/lsn.ts";
import { assertPublished, selectPublications } from "../wal/publication-check.ts";
import { decideSlot, readSlot, selectSlot, type SlotOptions, type SlotRow } from "./slot.ts";
import { makeSlot, type SlotMaking } from "./creation.ts";
import { ask } from "../wal/wire.ts";

/** What the preparation of a slot needs. */
export interface SlotPreparation extends Omit<SlotMaking, "answerMs"> {
  readonly slot: SlotOptions;
  /** The database that the slot is to be of. */
  readonly database: string;
  readonly decoder: Decoder;
  /** True where the stream of this very slot cannot be read: it is dropped and recreated. */
  readonly renewSlot: boolean;
  /** An answer must come within this time, in milliseconds. */
  readonly senderTimeoutMs: number;
}

/** A slot that can be streamed from. */
export interface PreparedSlot {
  readonly confirmed: Lsn;
  /** Changes with every change of the publications; empty for a plugin that knows none. */
  readonly published: string;
}

/**
 * The slot as it must be for the stream to bring every row, recreated where it is missing or of no use; null where `signal`
 * fired first. Rejects with STREAM_UNAVAILABLE, or the server's error, where none can be had.
 */
export async function prepareSlot(
  client: pg.ClientBase,
  preparation: SlotPreparation,
  signal: AbortSignal,
): Promise<PreparedSlot | null> {
  const { slot, database, renewSlot, senderTimeoutMs, log } = preparation;
  const decision = decideSlot(await findSlot(client, preparation), slot, { database, renew: renewSlot });
  if (decision.kind === "refuse") {
    throw new PgnetdError("STREAM_UNAVAILABLE", decision.why, { hint: decision.hint });
  }
  if (decision.kind === "recreate") await dropSlot(client, preparation, decision.why);
  let published: string;
  try {
    await lookAtEncoding(client, preparation);
    published = await lookForPublications(client, preparation);
  } catch (error) {
    if (decision.kind === "use" && error instanceof PgnetdError) await dropSlot(client, preparation, error.message);
    throw error;
  }
  if (decision.kind === "use") return { confirmed: decision.confirmed, published };
  await makeSlot(client, slot, { ...preparation, answerMs: senderTimeoutMs / 4 }, signal);
  if (signal.aborted) return null;
  log.info({ slot: slot.name, plugin: slot.plugin }, "replication slot is made");
  const made = await findSlot(client, preparation);
  if (made === null) throw new PgnetdError("STREAM_LOST", "the replication slot was dropped as soon as it was made");
  return { confirmed: made.confirmed, published };
}

/** P4: a slot whose stream brings nothing would only hold WAL; and what it skipped cannot be decoded later. */
export async function dropSlot(
  client: pg.ClientBase,
  { slot, senderTimeoutMs, log }: SlotPreparation,
  why: string,
): Promise<void> {
  log.warn({ slot: slot.name, why }, "replication slot is dropped, to be recreated");
  await ask(client, `DROP_REPLICATION_SLOT "${slot.name}"`, senderTimeoutMs);
}

async function findSlot(client: pg.ClientBase, { slot, senderTimeoutMs }: SlotPreparation): Promise<SlotRow | null> {
  return readSlot((await ask<Record<string, unknown>>(client, selectSlot(slot.name), senderTimeoutMs))[0]);
}

async function lookAtEncoding(client: pg.ClientBase, { decoder, senderTimeoutMs }: SlotPreparation): Promise<void> {
  if (decoder.encodings === null) return;
  const [database] = await ask<{ encoding: string }>(
    client,
    "select pg_catalog.current_setting('server_encoding') as encoding",
    senderTimeoutMs,
  );
  const problem = database === undefined ? null : encodingProblem(decoder, database.encoding);
  if (problem !== null) throw problem;
}

/** Why the stream of a database in `encoding` cannot be read through a plugin; null where it can. */
export function encodingProblem(
  { plugin, encodings }: Pick<Decoder, "plugin" | "encodings">,
  encoding: string,
): PgnetdError | null {
  if (encodings === null || encodings.includes(encoding)) return null;
  const why = `what ${plugin} brings from a database in ${encoding} cannot be read`;
  return new PgnetdError("STREAM_UNAVAILABLE", why, { hint: "Set slot.plugin (PGNETD_SLOT_PLUGIN) to pgoutput." });
}

async function lookForPublications(
  client: pg.ClientBase,
  { decoder, senderTimeoutMs }: SlotPreparation,
): Promise<string> {
  if (decoder.publications.length === 0) return "";
  return assertPublished(await ask(client, selectPublications(decoder.publications), senderTimeoutMs));
}
