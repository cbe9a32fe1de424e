import { describe, expect, test } from "vitest";
import { readRow } from "../../src/outbox/row.ts";
import { openDecoder } from "../../src/wal/decoder.ts";
import type { Begin, WalSink } from "../../src/wal/events.ts";

/** The same two transactions, and messages outside of them, as PostgreSQL 15 sent them by each plugin. */
const PGOUTPUT = [
  "420000000001557e48000303c4a41f3b1c000002dc",
  "590000400a007465787400",
  "520000401a6e657400687474705f726571756573745f71756575650064000b0169640000000014ffffffff006d6574686f64000000400affffffff0075726c0000000019ffffffff00686561646572730000000edaffffffff00626f64790000000011ffffffff0074696d656f75745f6d696c6c697365636f6e64730000000017ffffffff006372656174656400000004a0ffffffff006e6578745f617474656d70745f617400000004a0ffffffff00617474656d7074730000000017ffffffff0064656475706c69636174696f6e5f6b65790000000019ffffffff006f7074696f6e730000000edaffffffff",
  "490000401a4e000b7400000010393030373139393235343734303939337400000003474554740000000b687474703a2f2f782fc3a9740000000a7b2261223a202262227d74000000065c78303066667400000004353030307400000016323032362d30312d30322030333a30343a30352b30307400000016323032362d30312d30322030333a30343a30362b30307400000001306e740000000f7b226b656570223a2022616c6c227d",
  "490000401a4e000b74000000013274000000034745547400000009687474703a2f2f792f74000000027b7d6e7400000001317400000016323032362d30312d30322030333a30343a30352b30307400000008696e66696e6974797400000001306e6e",
  "4d0100000000015570a870676e657464000000000477616b65",
  "4d0100000000015570e86f74686572000000000178",
  "520000403f6e657400687474705f686f73745f73657474696e67730064000401686f73740000000019ffffffff00726174655f7065725f7365636f6e6400000006a4ffffffff00636f6e63757272656e63790000000017ffffffff007061757365640000000010ffffffff",
  "490000403f4e00047400000001687400000003302e316e740000000166",
  "550000403f4e00047400000001687400000003302e316e740000000174",
  "440000403f4b00047400000001686e6e6e",
  "520000403f6e657400687474705f686f73745f73657474696e67730064000401686f73740000000019ffffffff00726174655f7065725f7365636f6e6400000006a4ffffffff00636f6e63757272656e63790000000017ffffffff007061757365640000000010ffffffff",
  "5400000001000000403f",
  "43000000000001557e480000000001557fc0000303c4a41f3b1c",
  "4d00000000000155800070676e65746400000000036e6f77",
  "420000000001558260000303c4a41f4192000002de",
  "490000401a4e000b74000000013374000000034745547400000009687474703a2f2f7a2f74000000027b7d6e7400000001317400000016323032362d30312d30322030333a30343a30352b30306e7400000001306e6e",
  "430000000000015582600000000001558298000303c4a41f4192",
].map((hex) => Buffer.from(hex, "hex"));

const WAL2JSON = [
  String.raw`{"action":"B","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557E48","nextlsn":"0/1557FC0"}`,
  String.raw`{"action":"I","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1556D98","schema":"net","table":"http_request_queue","columns":[{"name":"id","typeoid":20,"value":9007199254740993},{"name":"method","typeoid":16394,"value":"GET"},{"name":"url","typeoid":25,"value":"http://x/é"},{"name":"headers","typeoid":3802,"value":"{\"a\": \"b\"}"},{"name":"body","typeoid":17,"value":"00ff"},{"name":"timeout_milliseconds","typeoid":23,"value":5000},{"name":"created","typeoid":1184,"value":"2026-01-02 03:04:05+00"},{"name":"next_attempt_at","typeoid":1184,"value":"2026-01-02 03:04:06+00"},{"name":"attempts","typeoid":23,"value":0},{"name":"deduplication_key","typeoid":25,"value":null},{"name":"options","typeoid":3802,"value":"{\"keep\": \"all\"}"}]}`,
  String.raw`{"action":"I","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1556F70","schema":"net","table":"http_request_queue","columns":[{"name":"id","typeoid":20,"value":2},{"name":"method","typeoid":16394,"value":"GET"},{"name":"url","typeoid":25,"value":"http://y/"},{"name":"headers","typeoid":3802,"value":"{}"},{"name":"body","typeoid":17,"value":null},{"name":"timeout_milliseconds","typeoid":23,"value":1},{"name":"created","typeoid":1184,"value":"2026-01-02 03:04:05+00"},{"name":"next_attempt_at","typeoid":1184,"value":"infinity"},{"name":"attempts","typeoid":23,"value":0},{"name":"deduplication_key","typeoid":25,"value":null},{"name":"options","typeoid":3802,"value":null}]}`,
  String.raw`{"action":"M","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/15570A8","transactional":true,"prefix":"pgnetd","content":"wake"}`,
  String.raw`{"action":"I","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557138","schema":"net","table":"http_host_settings","columns":[{"name":"host","typeoid":25,"value":"h"},{"name":"rate_per_second","typeoid":1700,"value":0.1},{"name":"concurrency","typeoid":23,"value":null},{"name":"paused","typeoid":16,"value":false}]}`,
  String.raw`{"action":"U","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557218","schema":"net","table":"http_host_settings","columns":[{"name":"host","typeoid":25,"value":"h"},{"name":"rate_per_second","typeoid":1700,"value":0.1},{"name":"concurrency","typeoid":23,"value":null},{"name":"paused","typeoid":16,"value":true}],"identity":[{"name":"host","typeoid":25,"value":"h"}]}`,
  String.raw`{"action":"D","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557268","schema":"net","table":"http_host_settings","identity":[{"name":"host","typeoid":25,"value":"h"}]}`,
  String.raw`{"action":"T","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557E18","schema":"net","table":"http_host_settings"}`,
  String.raw`{"action":"C","xid":732,"timestamp":"2026-11-21 09:20:32.115484+00","lsn":"0/1557E48","nextlsn":"0/1557FC0"}`,
  String.raw`{"action":"M","xid":null,"timestamp":null,"lsn":"0/1558000","transactional":false,"prefix":"pgnetd","content":"now"}`,
  String.raw`{"action":"B","xid":734,"timestamp":"2026-11-21 09:20:32.117138+00","lsn":"0/1558260","nextlsn":"0/1558298"}`,
  String.raw`{"action":"I","xid":734,"timestamp":"2026-11-21 09:20:32.117138+00","lsn":"0/1558018","schema":"net","table":"http_request_queue","columns":[{"name":"id","typeoid":20,"value":3},{"name":"method","typeoid":16394,"value":"GET"},{"name":"url","typeoid":25,"value":"http://z/"},{"name":"headers","typeoid":3802,"value":"{}"},{"name":"body","typeoid":17,"value":null},{"name":"timeout_milliseconds","typeoid":23,"value":1},{"name":"created","typeoid":1184,"value":"2026-01-02 03:04:05+00"},{"name":"next_attempt_at","typeoid":1184,"value":null},{"name":"attempts","typeoid":23,"value":0},{"name":"deduplication_key","typeoid":25,"value":null},{"name":"options","typeoid":3802,"value":null}]}`,
  String.raw`{"action":"C","xid":734,"timestamp":"2026-11-21 09:20:32.117138+00","lsn":"0/1558260","nextlsn":"0/1558298"}`,
].map((line) => Buffer.from(line));

/** A sink that keeps what it receives; but for when each transaction was committed, which pgoutput alone is asked for. */
function recorder(): { readonly events: unknown[][]; readonly sink: WalSink } {
  const events: unknown[][] = [];
  const sink: WalSink = {
    begin: ({ xid, commitLsn }) => events.push(["begin", { xid, commitLsn }]),
    relation: () => undefined,
    insert: (table, row) => events.push(["insert", table, row]),
    change: (table) => events.push(["change", table]),
    truncate: (table) => events.push(["truncate", table]),
    message: (content, position) => events.push(["message", content, position]),
    commit: (endLsn) => events.push(["commit", endLsn]),
  };
  return { events, sink };
}

function decoded(plugin: "pgoutput" | "wal2json", payloads: readonly Buffer[]): unknown[][] {
  const decode = openDecoder(plugin).open();
  const { events, sink } = recorder();
  for (const payload of payloads) decode(payload, sink);
  return events;
}

const SAME = [
  ["pgoutput", PGOUTPUT],
  ["wal2json", WAL2JSON],
] as const;

test("P4: the oid of a relation may be beyond 2^31", () => {
  const relation = Buffer.from(PGOUTPUT[2] ?? "");
  relation.writeUInt32BE(3_000_000_000, 1);
  const oids: number[] = [];
  openDecoder("pgoutput").open()(relation, { ...recorder().sink, relation: (_table, oid) => void oids.push(oid) });
  expect(oids).toEqual([3_000_000_000]);
});

describe.each(SAME)("%s", (plugin, payloads) => {
  test("brings begin, rows, changes, our messages and commit, in order", () => {
    const [begin, ...events] = decoded(plugin, payloads);
    expect(begin).toEqual(["begin", { xid: 732, commitLsn: 0x1557e48n }]);
    expect(events).toMatchObject([
      ["insert", "net.http_request_queue", { id: "9007199254740993" }],
      ["insert", "net.http_request_queue", { id: "2" }],
      ["message", "wake", 0x15570a8n],
      ["insert", "net.http_host_settings", { host: "h", rate_per_second: "0.1", concurrency: null, paused: false }],
      ["change", "net.http_host_settings"],
      ["change", "net.http_host_settings"],
      ["truncate", "net.http_host_settings"],
      ["commit", 0x1557fc0n],
      ["message", "now", 0x1558000n],
      ["begin", { xid: 734, commitLsn: 0x1558260n }],
      ["insert", "net.http_request_queue", { id: "3" }],
      ["commit", 0x1558298n],
    ]);
  });

  test("brings rows that read as requests, every value as a sweep would have it", () => {
    const events = decoded(plugin, payloads);
    const rows = [events[1]?.[2], events[2]?.[2]].map((row) =>
      readRow(row as Record<string, unknown>, { maxRedirects: 5, installationMarks: [] }),
    );
    expect(rows).toMatchObject([
      {
        defect: null,
        isForeign: false,
        nextAttemptAt: "2026-01-02 03:04:06+00",
        request: {
          id: 9_007_199_254_740_993n,
          method: "GET",
          url: "http://x/é",
          headers: [["a", "b"]],
          body: Buffer.from("00ff", "hex"),
          timeoutMs: 5_000,
          attempts: 0,
        },
      },
      {
        defect: null,
        isForeign: false,
        nextAttemptAt: "infinity",
        request: { id: 2n, headers: [], body: null, timeoutMs: 1 },
      },
    ]);
  });

  test("throws for what is not of its format", () => {
    expect(() => decoded(plugin, [Buffer.from("?nonsense")])).toThrow(/unknown|JSON/i);
    const insert = payloads.find((payload) =>
      ["I", '{"action":"I"'].some((head) => payload.toString().startsWith(head)),
    );
    expect(() => decoded(plugin, [(insert ?? Buffer.alloc(0)).subarray(0, 40)])).toThrow(/missing|JSON|undefined/i);
  });
});

test("pgoutput says when a transaction was committed", () => {
  const committed: unknown[] = [];
  const decode = openDecoder("pgoutput").open();
  const sink = { ...recorder().sink, begin: ({ committedAt }: Begin) => committed.push(committedAt) };
  for (const payload of PGOUTPUT) decode(payload, sink);
  expect(committed).toEqual([
    Date.parse("2026-11-21T09:20:32.115Z") + 0.484,
    Date.parse("2026-11-21T09:20:32.117Z") + 0.138,
  ]);
});

test("both bring the same, to the last value and position", () => {
  expect(decoded("wal2json", WAL2JSON)).toEqual(decoded("pgoutput", PGOUTPUT));
});

test("an id above 2^31 stays what it is, though the parser of pgoutput reads it signed", () => {
  const payload = Buffer.from(PGOUTPUT[0] ?? "");
  payload.writeUInt32BE(0xffff_fffe, 17);
  expect(decoded("pgoutput", [payload])[0]?.[1]).toMatchObject({ xid: 0xffff_fffe });
});

test("P3: pgoutput says which table the rows to come are of, by its oid", () => {
  const relations: unknown[][] = [];
  const decode = openDecoder("pgoutput").open();
  const sink = { ...recorder().sink, relation: (table: string, oid: number) => relations.push([table, oid]) };
  for (const payload of PGOUTPUT) decode(payload, sink);
  expect(relations).toEqual([
    ["net.http_request_queue", 0x401a],
    ["net.http_host_settings", 0x403f],
    ["net.http_host_settings", 0x403f],
  ]);
});

test("pgoutput's position 0/0 is one, though the parser says that there is none", () => {
  const payload = Buffer.from(PGOUTPUT[0] ?? "");
  payload.fill(0, 1, 9);
  expect(decoded("pgoutput", [payload])[0]?.[1]).toMatchObject({ commitLsn: 0n });
});

test("the server is asked for all of our publications or tables, and for logical messages", () => {
  const [pgoutput, wal2json] = [openDecoder("pgoutput"), openDecoder("wal2json")];
  expect(pgoutput.startOptions).toEqual([
    "proto_version '1'",
    `publication_names '${pgoutput.publications.map(({ name }) => name).join(",")}'`,
    "messages 'true'",
  ]);
  expect(pgoutput.publications.length).toBeGreaterThan(1);
  const tables = [...pgoutput.publications.map(({ schema, table }) => `${schema}.${table}`), "net.pgnetd_installation"];
  expect(wal2json.startOptions).toContain(`"add-tables" '${tables.join(",")}'`);
  expect(wal2json.startOptions).toContain(`"add-msg-prefixes" 'pgnetd'`);
  expect(wal2json.publications).toEqual([]);
});

test("wal2json is read from databases in UTF-8 or of no declared encoding, and pgoutput from any", () => {
  expect([openDecoder("wal2json").encodings, openDecoder("pgoutput").encodings]).toEqual([["UTF8", "SQL_ASCII"], null]);
});

test("P2: a truncation of several tables is told of each", () => {
  const relations = [PGOUTPUT[2], PGOUTPUT[7]].filter((payload) => payload !== undefined);
  const truncation = Buffer.from("5400000002000000403f0000401a", "hex");
  expect(decoded("pgoutput", [...relations, truncation])).toEqual([
    ["truncate", "net.http_host_settings"],
    ["truncate", "net.http_request_queue"],
  ]);
});
