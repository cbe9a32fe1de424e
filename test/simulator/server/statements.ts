import { formatLsn, lsn, parseLsn } from "../../../src/pg/lsn.ts";
import { LATEST_VERSION } from "../../../src/pg/migrations.ts";
import type { SentStatement } from "../client.ts";
import { after, virtualNow } from "../virtual-time.ts";
import type { Row, Transaction } from "./database.ts";
import { refusal } from "./errors.ts";
import type { Server } from "./server.ts";
import type { Session } from "./session.ts";
import { Slot } from "./slot.ts";
import { columnsOf, INSTALLATION_MARK, sweepRows } from "./sweep.ts";
import { float8s, int4s, int8s, texts } from "./arrays.ts";

type Rows = readonly Readonly<Record<string, unknown>>[];

/** One execution of a statement. */
export interface Call {
  readonly server: Server;
  readonly session: Session;
  readonly statement: SentStatement;
  readonly answer: (error: Error | null, rows: Rows | null) => void;
}

/** A statement that the simulated server knows. */
export interface StatementKind {
  readonly name: string;
  /** It changes rows, or reads them: faults of these kinds make it fail. */
  readonly writes: boolean;
  readonly reads: boolean;
  /** Called when the statement begins, with its snapshot. */
  readonly execute: (call: Call) => void;
}

/** What pgnetd asks, by the name of the prepared statement, or else by what stands in its text and in no other. */
export function statementOf({ name, text }: SentStatement): StatementKind | null {
  if (name !== undefined) return NAMED.get(name) ?? null;
  return UNNAMED.find(([part]) => text.includes(part))?.[1] ?? null;
}

function answering(name: string, rows: (call: Call) => Rows): StatementKind {
  return {
    name,
    writes: false,
    reads: false,
    execute: (call) => call.answer(null, rows(call)),
  };
}

const NOTHING = answering("nothing", () => []);

/** The statement with its rows at its beginning; what depends on its end is added there. */
const SWEEP: StatementKind = {
  name: "sweep",
  writes: false,
  reads: true,
  execute: ({ server, statement, answer }) => {
    const rows = sweepRows(server.database, statement.values, server.profile.mostLanes);
    const transaction = server.database.begin();
    after(server.duration(), null, () => {
      if (transaction.stage === "aborted") return answer(refusal("57P01", "the server has stopped"), null);
      const insertLsn = formatLsn(lsn(server.database.insertLsn));
      // It has written nothing: its end is in no log, and waits for no standby.
      server.database.abort(transaction);
      answer(
        null,
        rows.map((row) => ({ ...row, insert_lsn: insertLsn, next_xid: String(transaction.xid) })),
      );
    });
  },
};

const READ_IDS: StatementKind = {
  ...answering("read ids", (of) => {
    const [ids, created] = of.statement.values as [readonly string[], readonly string[]];
    const rows = ids.map((id, index) => find(of.server, { id: BigInt(id), created: created[index] ?? "" }));
    return rows.flatMap((row) => (row === undefined ? [] : [{ ...columnsOf(row), of_lane: row.lane }]));
  }),
  reads: true,
};

interface Given {
  readonly id: bigint;
  readonly created: string;
}

function givenBy(values: readonly unknown[]): readonly Given[] {
  const created = texts(values[1]);
  return int8s(values[0]).map((id, index) => ({ id, created: created[index] ?? "" }));
}

function find(server: Server, { id, created }: Given): Row | undefined {
  const row = server.database.outbox.get(created);
  return row !== undefined && row.id === id && server.database.isVisible(row) ? row : undefined;
}

/** Deletes or changes rows that are free, as `src/results/statements.ts` does. */
function writing(name: string, change: (call: Call, by: Transaction, row: Row, index: number) => void): StatementKind {
  return {
    name,
    writes: true,
    reads: false,
    execute: (call) => {
      const { server, statement, answer } = call;
      const { database } = server;
      const given = givenBy(statement.values);
      const snapshot = database.snapshot();
      const transaction = database.begin();
      const missing: Given[] = [];
      for (const [index, one] of given.entries()) {
        const row = find(server, one);
        if (row !== undefined && database.lock(transaction, row)) change(call, transaction, row, index);
        else missing.push(one);
      }
      const locked = missing.filter((one) => find(server, one) !== undefined);
      after(server.duration(), null, () => {
        if (transaction.stage === "aborted") return answer(refusal("57P01", "the server has stopped"), null);
        const ids = (list: readonly Given[]): readonly string[] => list.map(({ id }) => String(id));
        server.commit(transaction, () =>
          answer(null, [{ snapshot, missing: ids(missing), locked: ids(locked), kept: [] }]),
        );
      });
    },
  };
}

const DEFERRED = writing("deferred", ({ statement: { values }, session }, by, row, index) => {
  const delayMs = float8s(values[2])[index] ?? 0;
  const attempts = int4s(values[3])[index] ?? null;
  const before = { nextAttemptAt: row.nextAttemptAt, attempts: row.attempts };
  by.effects.push({
    apply: () => {
      if (attempts !== null && attempts <= row.attempts) return;
      const at = virtualNow() + delayMs;
      row.nextAttemptAt = attempts === null ? Math.max(at, row.nextAttemptAt ?? at) : at;
      row.deferredBy = session.link.owner;
      row.attempts = attempts ?? row.attempts;
    },
    undo: () => Object.assign(row, before),
  });
});

const LOCKED = answering("locked", ({ server, statement: { values } }) =>
  givenBy(values)
    .map((one) => find(server, one))
    .filter((row) => row !== undefined && row.lockedBy !== null)
    .map((row) => ({ id: String(row?.id) })),
);

const HOSTS: StatementKind = {
  name: "host settings",
  writes: false,
  reads: true,
  execute: ({ server, session, answer }) => {
    const hosts = new Map(server.hosts);
    const at = virtualNow();
    session.beforeAnswer = () => server.watcher?.hostsRead(session.link.owner, hosts, at);
    answer(
      null,
      [...hosts].map(([host, row]) => ({ host, ...row })),
    );
  },
};

const REPORT_LANES = answering("report lanes", ({ server, session, statement: { values } }) => {
  const [lanes, , queued] = values as [string[], string[], number[]];
  server.watcher?.lanesReported(session.link.owner, lanes, queued);
  return [];
});

const NAMED: ReadonlyMap<string, StatementKind> = new Map([
  ["pgnetd_sweep", SWEEP],
  ["pgnetd_sweep_ids", SWEEP],
  ["pgnetd_read_ids", READ_IDS],
  [
    "pgnetd_snapshot",
    { ...answering("snapshot", ({ server }) => [{ snapshot: server.database.snapshot() }]), reads: true },
  ],
  ["pgnetd_answered", writing("answered", ({ server }, by, row) => server.database.end(by, row, "answered"))],
  ["pgnetd_dead", writing("dead", ({ server }, by, row) => server.database.end(by, row, "dead"))],
  ["pgnetd_deferred", DEFERRED],
  ["pgnetd_locked", LOCKED],
  ["pgnetd_host_settings", HOSTS],
  ["pgnetd_report_lanes", REPORT_LANES],
  ["pgnetd_same_outbox", answering("same", () => [{ same: true }])],
  ["pgnetd_expire", answering("expire", () => [{ most: 0, response: null, detail: null, letter: null }])],
]);

const INSTALLATION = {
  id: "6f2d1c1e-0d4b-4f3e-9d0e-0b8a4a3f7c11",
  environment: null,
  recorded: null,
  database: "16384",
  table: "16390",
  row: "700",
  outbox: "16400",
  marks: [INSTALLATION_MARK],
};

function key(classId: string | undefined, shard: string | undefined): string {
  return `${classId} ${shard}`;
}

const TRY_LOCK = answering("try lock", ({ server, session, statement: { text } }) => {
  const [, classId, shard] = /lock\((\d+), (\d+)\)/.exec(text) ?? [];
  return [{ held: server.locks.tryLock(key(classId, shard), session) }];
});

const LOCK: StatementKind = {
  ...NOTHING,
  name: "lock",
  execute: ({ server, session, statement: { text }, answer }) => {
    const [, classId, shard] = /lock\((\d+), (\d+)\)/.exec(text) ?? [];
    let givesUp: () => void = () => undefined;
    const done = (error: Error | null): void => {
      givesUp();
      session.cancelWait = null;
      answer(error, error === null ? [] : null);
    };
    if (!session.isAlive) return;
    const leave = server.locks.wait(key(classId, shard), session, () => done(null));
    if (server.locks.holderOf(key(classId, shard)) === session) return;
    session.cancelWait = leave;
    if (session.lockTimeoutMs === 0) return;
    givesUp = after(session.lockTimeoutMs, null, () => {
      leave();
      done(refusal("55P03", "canceling statement due to lock timeout"));
    });
  },
};

const UNLOCK = answering("unlock", ({ server, session, statement: { text } }) => {
  const [, classId, shard] = /lock\((\d+), (\d+)\)/.exec(text) ?? [];
  server.locks.unlock(key(classId, shard), session);
  return [{ pg_advisory_unlock: true }];
});

/** `selectHolder` of `src/leader/holder.ts`: of several the one with the higher class id. */
const HOLDER = answering("holder", ({ server, statement: { text } }) => {
  const [, shard] = /l\.objid = '(\d+)'/.exec(text) ?? [];
  const [, only] = /l\.classid = '(\d+)'/.exec(text) ?? [];
  const [, first, second] = /l\.classid in \('(\d+)'::oid, '(\d+)'::oid\)/.exec(text) ?? [];
  const classIds = [first, second].toSorted((one, other) => Number(other) - Number(one));
  for (const classId of only === undefined ? classIds : [only]) {
    const holder = server.locks.holderOf(key(classId, shard));
    if (holder === null) continue;
    return [
      { pid: holder.pid, gid: null, user: "pgnetd", application: holder.application, address: null, mayLead: true },
    ];
  }
  return [];
});

const IDENTITY = answering("identify system", ({ server: { database } }) => [
  { systemid: "1", timeline: database.timeline, xlogpos: formatLsn(lsn(database.flushedLsn)), dbname: "app" },
]);

const SLOT = answering("slot", ({ server: { slot } }) =>
  slot === null
    ? []
    : [
        {
          plugin: slot.plugin,
          database: "app",
          temporary: slot.isTemporary,
          active_pid: slot.active?.pid ?? null,
          wal_status: slot.walStatus,
          confirmed: formatLsn(lsn(slot.confirmed)),
        },
      ],
);

const DROP_SLOT: StatementKind = {
  ...NOTHING,
  name: "drop slot",
  execute: ({ server, answer }) => {
    if (server.slot === null) return answer(refusal("42704", "the replication slot does not exist"), null);
    if (server.slot.active !== null) return answer(refusal("55006", "the replication slot is active"), null);
    server.slot = null;
    answer(null, []);
  },
};

/** Waits until every transaction then in progress has ended. */
const CREATE_SLOT: StatementKind = {
  ...NOTHING,
  name: "create slot",
  execute: ({ server, session, statement: { text }, answer }) => {
    if (server.slot !== null) return answer(refusal("42710", "the replication slot exists"), null);
    const waitedFor = new Set(server.database.running);
    const check = (): void => {
      if (!session.isAlive) return;
      for (const one of waitedFor) if (one.stage === "visible" || one.stage === "aborted") waitedFor.delete(one);
      if (waitedFor.size > 0) {
        after(1, null, check);
        return;
      }
      if (server.slot !== null) return answer(refusal("42710", "the replication slot exists"), null);
      server.database.flush();
      server.slot = new Slot(server.database.insertLsn, text.includes("TEMPORARY"));
      answer(null, []);
    };
    check();
  },
};

const START_REPLICATION: StatementKind = {
  ...NOTHING,
  name: "start replication",
  execute: ({ server, session, statement: { text }, answer }) => {
    const { slot } = server;
    if (slot === null) return answer(refusal("42704", "the replication slot does not exist"), null);
    if (slot.active !== null) return answer(refusal("55006", "the replication slot is active"), null);
    if (slot.walStatus === "lost") return answer(refusal("55000", "the replication slot was invalidated"), null);
    const [, from] = /LOGICAL (\S+)/.exec(text) ?? [];
    session.link.toClient(() => session.client.connection.emit("replicationStart"));
    server.startReplication(session, parseLsn(from ?? "0/0"));
  },
};

const LEADS = answering("leads", ({ server, statement: { text, values } }) => {
  const classIds = /l\.classid in \('(\d+)'::oid, '(\d+)'::oid\)/.exec(text)?.slice(1) ?? [];
  return [server.leadOf(values[0], classIds)];
});

const MESSAGE: StatementKind = {
  name: "message",
  writes: true,
  reads: false,
  execute: ({ server, answer }) => server.commit(server.database.begin(), () => answer(null, [])),
};

const OBSERVE = answering("observe", ({ server, statement: { values } }) => {
  const [pid, classId, shard] = values;
  const holder = server.locks.holderOf(`${String(classId)} ${String(shard)}`);
  const lives = [...server.sessions].some((one) => one.pid === pid);
  return [{ lives, leads: holder?.pid === pid, blockers: [] }];
});

function setting(...timeouts: readonly ("senderTimeoutMs" | "idleTimeoutMs" | "lockTimeoutMs")[]): StatementKind {
  return answering("set", ({ session, statement: { text } }) => {
    const [, value] = /timeout = (\d+)/.exec(text) ?? [];
    for (const timeout of timeouts) session[timeout] = Number(value ?? 0);
    const [, idle] = /tcp_keepalives_idle = (\d+)/.exec(text) ?? [];
    if (idle !== undefined) session.keepaliveMs = (Number(idle) + 3) * 1_000;
    return [];
  });
}

const PUBLICATIONS = answering("publications", ({ server }) =>
  ["pgnetd_outbox", "pgnetd_settings"].map((name) => ({
    name,
    there: server.published > 0,
    whole: server.published > 0,
    version: String(server.published),
  })),
);

const PUBLICATION_VERSIONS = answering("publication versions", ({ server }) =>
  [1, 2].map(() => ({ version: String(server.published) })),
);

/** In this order: the first of which the text has the part. */
const UNNAMED: readonly (readonly [string, StatementKind])[] = [
  ["row_security_active", NOTHING],
  ["pg_try_advisory_lock", TRY_LOCK],
  ["pg_advisory_unlock", UNLOCK],
  ["select pg_catalog.pg_advisory_lock", LOCK],
  [') as "mayLead"', HOLDER],
  ["pg_publication_tables", PUBLICATIONS],
  ["pg_publication_rel", PUBLICATION_VERSIONS],
  ["IDENTIFY_SYSTEM", IDENTITY],
  ["pg_walfile_name", IDENTITY],
  ["pg_replication_slots where slot_name", SLOT],
  ["DROP_REPLICATION_SLOT", DROP_SLOT],
  ["CREATE_REPLICATION_SLOT", CREATE_SLOT],
  ["START_REPLICATION", START_REPLICATION],
  ["server_version_num", answering("session", ({ session }) => [{ pid: session.pid, version: 170_000 }])],
  ["as blockers", OBSERVE],
  [") as leads,", LEADS],
  ["pg_logical_emit_message(true, 'pgnetd-", MESSAGE],
  ["pg_backend_pid", answering("pid standbys", ({ session }) => [{ pid: session.pid, standbys: "" }])],
  ["set wal_sender_timeout", setting("senderTimeoutMs", "idleTimeoutMs")],
  ["set lock_timeout", setting("lockTimeoutMs")],
  ["set statement_timeout", NOTHING],
  ["set client_connection_check_interval", NOTHING],
  ["set_config('search_path', 'pg_catalog,pg_temp'", NOTHING],
  ["pg_get_userbyid(o.owner)", NOTHING],
  ["as installed", answering("installed", () => [{ installed: true }])],
  ["max(version)", answering("version", () => [{ version: LATEST_VERSION }])],
  ["update net.pgnetd_installation set place", NOTHING],
  ["from net.pgnetd_installation", answering("installation", () => [INSTALLATION])],
  ["from pg_catalog.pg_control_system", answering("system", () => [{ system: "1" }])],
  ["pg_net.batch_size", answering("pg_net settings", () => [{ ttl: null, batch_size: null }])],
  ["select 1", NOTHING],
  ["select", { ...NOTHING, name: "alive" }],
];
