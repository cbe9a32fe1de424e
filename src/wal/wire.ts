import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { socketOf } from "../pg/client.ts";
import { NO_TRANSACTION_TIMEOUT } from "../pg/search-path.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { MessageLimit } from "./message-limit.ts";

/** What has come from the server so far, in bytes. */
export function bytesReceived(client: pg.ClientBase): number {
  return socketOf(client).bytesRead;
}

/**
 * P5: drops the connection of a client that is idle now as soon as a message larger than `mostBytes` begins to come, and
 * calls `exceeded` with its size: `pg` would gather the whole of it. It is not given what it need not gather, see `MessageLimit`.
 */
export function limitMessages(client: pg.ClientBase, mostBytes: number, exceeded: (bytes: number) => void): void {
  const stream = socketOf(client);
  // The parser of `pg`, which listens from the start.
  const [parse] = stream.listeners("data") as ((bytes: Buffer) => void)[];
  if (parse === undefined) throw new Error("nobody reads the connection");
  const limit = new MessageLimit(mostBytes);
  stream.on("data", (chunk: Buffer) => {
    const bytes = limit.read(chunk, parse);
    if (bytes === null) return;
    exceeded(bytes);
    stream.destroy();
  });
  stream.off("data", parse);
}

/** What Node reads at once. */
const FULL_READ_BYTES = 65_536;

/**
 * P6: lets other connections have their turn after each full read. A large transaction is read for megabytes at a time else, while
 * nothing is sent and nothing answered.
 */
export function readInTurns(client: pg.ClientBase): void {
  const stream = socketOf(client);
  stream.on("data", (chunk: Buffer) => {
    if (chunk.length < FULL_READ_BYTES) return;
    stream.pause();
    setImmediate(() => stream.resume());
  });
}

/** How long a goodbye may take before the socket is dropped. */
const GOODBYE_MS = 500;

/** How long the server may be silent, in milliseconds. */
export interface Silence {
  /** `wal_sender_timeout` of the session: the server ends it, and the lock with it, after such a silence. */
  readonly senderTimeoutMs: number;
  /** After such a silence the leader starts nothing. */
  readonly fenceMs: number;
}

/** P6: a stall of the stream is noticed by an answer that does not come. In milliseconds. */
const BUSY_MS = 400;

/** Interval at which a sign of life is asked for, in milliseconds: several times within either, and more often of a busy server. */
export function askEveryMs({ senderTimeoutMs, fenceMs }: Silence, isBusy = false): number {
  return Math.min(senderTimeoutMs / 5, fenceMs / 3, isBusy ? BUSY_MS : Infinity);
}

/**
 * P3: what comes after a longer silence, in milliseconds, is no sign of life. Else what was written before it could pass for one, and requests start
 * for another `fenceMs`, when the server has ended the session.
 */
export function doubtMs({ senderTimeoutMs, fenceMs }: Silence): number {
  return Math.min(fenceMs, senderTimeoutMs - fenceMs);
}

/** Runs one statement that must be answered within `withinMs`; else it rejects, and the connection is of no more use. */
export async function ask<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  text: string,
  withinMs: number,
): Promise<Row[]> {
  const statement = { text, query_timeout: withinMs };
  return (await client.query<Row>(statement)).rows;
}

/** Says goodbye with `end`, and drops the connection of a peer that does not hear it. */
export async function hangUp(client: pg.ClientBase | null, end: () => Promise<unknown>, clock: Clock): Promise<void> {
  const goodbye = new AbortController();
  await Promise.race([end().catch(() => undefined), clock.sleep(GOODBYE_MS, goodbye.signal)]);
  goodbye.abort();
  if (client !== null) socketOf(client).destroy();
}

/**
 * Settings that end a session whose daemon is gone, and with it the leader's lock, also where the network says nothing:
 * after a silence while it streams, while it is idle, and (where the platform can detect it) in the middle of a statement.
 */
export async function endWithPeer(client: pg.ClientBase, silenceMs: number): Promise<void> {
  // P3: nor does TCP end it before.
  const settings = `set wal_sender_timeout = ${silenceMs}; set idle_session_timeout = ${silenceMs};
set tcp_keepalives_idle = ${Math.max(2, Math.ceil(silenceMs / 1_000))}; select ${NO_TRANSACTION_TIMEOUT}`;
  await ask(client, settings, silenceMs);
  try {
    await ask(client, "set client_connection_check_interval = 1000", silenceMs);
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.invalidParameterValue) throw error;
  }
}
