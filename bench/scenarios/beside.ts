import { percentile } from "../support/numbers.ts";
import { loopbackAddress, type Rig } from "../support/rig.ts";
import { type Figures, type Scenario, shares } from "../support/scenario.ts";
import { openSilentHosts, type SilentHosts } from "../support/silent-hosts.ts";
import { FIRST_OF_OTHERS, trickle, type TrickleOptions } from "../support/trickle.ts";

const RATE = "200";
const TO_HOSTS =
  "select count(net.http_get(($1::text[])[1 + n % cardinality($1::text[])] || n)) from generate_series(1, $2::int) n";

interface Flooded {
  readonly name: string;
  readonly rate?: string;
  readonly rounds: number;
  /** Requests per second of the healthy one. */
  readonly perSecond: number;
  readonly seconds: number;
  /** Queues a flood in one transaction. */
  readonly flood: (rig: Rig, silent: SilentHosts) => Promise<unknown>;
}

/** A healthy destination before and after a flood for others was committed: milliseconds from commit to arrival. */
function beside({ name, rate = RATE, rounds, perSecond, seconds, flood }: Flooded): Scenario {
  return {
    name,
    rounds,
    async measure(rig) {
      await using silent = await openSilentHosts();
      await using _daemon = await rig.startDaemon(rate);
      await trickle(rig, { perSecond: 100, seconds: 2 });
      const undisturbed = await trickle(rig, { perSecond: 100, seconds: 5 });
      await flood(rig, silent);
      const during = await trickle(rig, { perSecond, seconds });
      return delayFigures(undisturbed.delays, during.delays);
    },
  };
}

function delayFigures(undisturbed: readonly number[], during: readonly number[]): Figures {
  const [calm, flooded] = [percentile(undisturbed, 0.99), percentile(during, 0.99)];
  return {
    "p50 ms undisturbed": percentile(undisturbed, 0.5),
    "p90 ms undisturbed": percentile(undisturbed, 0.9),
    "p99 ms undisturbed": calm,
    "p50 ms": percentile(during, 0.5),
    "p90 ms": percentile(during, 0.9),
    "p99 ms": flooded,
    "longest ms": percentile(during, 1),
    "p99 ms more than undisturbed": flooded - calm,
  };
}

const FLOOD_SIZES = [10_000, 100_000, 1_000_000];

const refusing = (size: number, perSecond: number, name: string): Scenario =>
  beside({
    name,
    rounds: size < 1_000_000 ? 3 : 2,
    perSecond,
    seconds: 8,
    flood: (rig) => rig.client.query(TO_HOSTS, [["http://127.0.0.9:9/?n="], size]),
  });

const dead = FLOOD_SIZES.flatMap((size) => [
  beside({
    name: `hanging-${size}`,
    rounds: size < 1_000_000 ? 3 : 2,
    perSecond: 100,
    seconds: 8,
    flood: (rig, silent) => rig.client.query(TO_HOSTS, [[silent.url(0)], size]),
  }),
  refusing(size, 100, `refusing-${size}`),
  refusing(size, 80, `refusing-${size}-at-80`),
]);

const queued = beside({
  name: "queued-100000",
  rounds: 3,
  perSecond: 10,
  seconds: 20,
  flood: (rig) => rig.client.query(TO_HOSTS, [[rig.otherReceiverUrl], 100_000]),
});

/** Without a limit on the rate, while a large transaction for one or many other healthy hosts is received and sent. */
const unlimited = [1, 1_000].map((hosts) =>
  beside({
    name: `unlimited-beside-${hosts}`,
    rate: "unlimited",
    rounds: 3,
    // Below its fair share.
    perSecond: hosts === 1 ? 100 : 2,
    seconds: 12,
    flood: (rig) => {
      const { port } = new URL(rig.otherReceiverUrl);
      const urls = Array.from({ length: hosts }, (_, host) => `http://${loopbackAddress(host)}:${port}/?n=`);
      return rig.client.query(TO_HOSTS, [urls, 200_000]);
    },
  }),
);

const silentHosts = beside({
  name: "silent-1000",
  rounds: 3,
  perSecond: 100,
  seconds: 15,
  flood: (rig, silent) =>
    rig.client.query(TO_HOSTS, [Array.from({ length: 1_000 }, (_, host) => silent.url(host)), 100_000]),
});

const LANES = 1_000;
const PER_LANE = 100;

/** One destination, 1,000 lanes, and one that wants half of its fair share. A version that has no lanes gets the same requests without. */
function lanes(rate: string): Scenario {
  return {
    name: `lanes-at-${rate}`,
    rounds: 2,
    async measure(rig) {
      const named = await hasLanes(rig);
      await using _daemon = await rig.startDaemon(rate);
      const quiet: TrickleOptions = {
        perSecond: Number(rate) / LANES / 2,
        seconds: 30,
        call: named ? "net.http_request('GET', $1 || $2, lane := 'quiet')" : "net.http_get($1 || $2)",
      };
      const undisturbed = await trickle(rig, { ...quiet, seconds: 10 });
      const url = `$1 || ($2::int + lane * ${PER_LANE} + n)`;
      const call = named ? `net.http_request('GET', ${url}, lane := 'lane ' || lane)` : `net.http_get(${url})`;
      const flood = `select count(${call}) from generate_series(0, ${LANES - 1}) lane, generate_series(0, ${PER_LANE - 1}) n`;
      await rig.client.query(flood, [rig.receiverUrl, FIRST_OF_OTHERS]);
      const during = await trickle(rig, quiet);
      return {
        ...delayFigures(undisturbed.delays, during.delays),
        ...shares(during.others, LANES, (n) => Math.floor((n - FIRST_OF_OTHERS) / PER_LANE)),
      };
    },
  };
}

async function hasLanes(rig: Rig): Promise<boolean> {
  const { rows } = await rig.client.query<{ found: boolean }>(
    "select exists (select from pg_attribute where attrelid = 'net.http_request_queue'::regclass and attname = 'lane') as found",
  );
  return rows[0]?.found === true;
}

/** What a healthy destination, or a quiet lane, sees of the others. */
export const BESIDE: readonly Scenario[] = [...dead, queued, ...unlimited, silentHosts, lanes("2000")];
