import type { Failed, Outcome } from "../http/outcome.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { Completion } from "../results/completion.ts";

/** What `net.http_lane_status()` shows of an outcome; null where it went well. */
export function failureOf(outcome: Outcome): string | null {
  if (outcome.kind === "failed") return outcome.code === "aborted" ? null : outcome.code;
  return outcome.status >= 500 ? String(outcome.status) : null;
}

/** How a row ends that is never sent; null where it is to be sent. */
export function unsent({ request, defect, isForeign }: OutboxRow): EndedUnsent | null {
  if (isForeign) return { kind: "dead", request, outcome: failed("other_installation", FOREIGN) };
  if (defect === null) return null;
  const message = `The row in net.http_request_queue cannot be sent: ${defect}`;
  return { kind: "answered", request, outcome: failed("bad_request", message) };
}

/** A row that ended without a try. */
type EndedUnsent = Exclude<Completion, { readonly kind: "deferred" }>;

const FOREIGN =
  "Another installation of pgnetd made this request: it came with a dump that was restored here, or by replication. It was not sent; net.http_replay sends it from here, with an id of its own.";

function failed(code: Failed["code"], message: string): Failed {
  return {
    kind: "failed",
    code,
    message,
    detail: null,
    maybeReceived: false,
    timings: { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 },
  };
}
