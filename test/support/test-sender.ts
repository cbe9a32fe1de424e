import type { SenderParts, SenderSettings } from "../../src/sending/parts.ts";
import { Sender } from "../../src/sending/sender.ts";
import { FakeClock } from "./fake-clock.ts";
import { FREE } from "./hosts-lab.ts";
import { silentLog } from "./silent-log.ts";
import { UNBOUNDED_ANSWERS } from "./unbounded-answers.ts";

const quiet = (): void => undefined;

/** What a test says of its sender. */
interface TestSenderParts
  extends Pick<SenderParts, "results">, Partial<Omit<SenderParts, "http" | "results" | "events">> {
  readonly send: SenderParts["http"]["send"];
  readonly expire?: SenderParts["http"]["expire"];
  readonly events?: Partial<SenderParts["events"]>;
}

/** A sender that no rate and no memory for answers holds up, and nothing listens to, unless `parts` say otherwise. */
export function testSender({ send, expire, events, ...parts }: TestSenderParts, settings: SenderSettings): Sender {
  return new Sender(
    {
      http: { send, expire: expire ?? (() => false) },
      answers: UNBOUNDED_ANSWERS,
      rate: FREE,
      rateOf: () => null,
      clock: new FakeClock(),
      log: silentLog,
      random: () => 0,
      ...parts,
      events: { ended: quiet, low: quiet, givenUp: quiet, seenAgain: quiet, ...events },
    },
    settings,
  );
}
