/**
 * What destinations see of each other: a healthy one, at `--rate` single requests per second, first undisturbed and then beside what
 * each of `--scenarios` makes. Milliseconds from the answer to the caller's commit until the request arrives.
 */
import { parseArgs } from "node:util";
import { openSilentHosts } from "./support/silent-hosts.ts";
import { row, trickle } from "./support/trickle.ts";
import { openRig, type Rig } from "./support/rig.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "100" },
    seconds: { type: "string", default: "10" },
    scenarios: { type: "string", default: "dead-10000,dead-100000,refusing-100000,queued-100000,silent-1000" },
  },
});

/** Queues a flood in one transaction. */
type Flood = (rig: Rig, silentUrl: (host: number) => string) => Promise<unknown>;

const toHosts =
  "select count(net.http_get(($1::text[])[1 + n % cardinality($1::text[])] || n)) from generate_series(1, $2::int) n";

function floodOf(scenario: string): Flood {
  const [kind = "", size] = scenario.split("-");
  const count = Number(size);
  switch (kind) {
    case "dead":
      return (rig, silentUrl) => rig.client.query(toHosts, [[silentUrl(0)], count]);
    case "refusing":
      return (rig) => rig.client.query(toHosts, [["http://127.0.0.9:9/?n="], count]);
    case "queued":
      return (rig) => rig.client.query(toHosts, [[rig.otherReceiverUrl], count]);
    case "silent":
      return (rig, silentUrl) =>
        rig.client.query(toHosts, [Array.from({ length: count }, (_, host) => silentUrl(host)), count * 100]);
    default:
      throw new RangeError(`no scenario ${scenario}`);
  }
}

const results: object[] = [];
for (const scenario of values.scenarios.split(",")) {
  await using rig = await openRig();
  await using silent = await openSilentHosts();
  await using _daemon = await rig.startDaemon("200");
  const drive = (seconds: number): Promise<readonly number[]> =>
    trickle(rig, { perSecond: Number(values.rate), seconds });
  await drive(2);
  const undisturbed = await drive(Number(values.seconds));
  const flood = floodOf(scenario)(rig, silent.url);
  // The flood's own transaction takes a while: what counts begins with its commit.
  const [, during] = await Promise.all([flood, flood.then(() => drive(Number(values.seconds)))]);
  const later = await drive(Number(values.seconds));
  results.push(
    row(scenario, "undisturbed", undisturbed),
    row(scenario, "from its commit on", during),
    row(scenario, "later", later),
  );
}
console.table(results);
