import type { Outcome } from "../http/outcome.ts";

/** What `net.http_lane_status()` shows of an outcome; null where it went well. */
export function failureOf(outcome: Outcome): string | null {
  if (outcome.kind === "failed") return outcome.code === "aborted" ? null : outcome.code;
  return outcome.status >= 500 ? String(outcome.status) : null;
}

/** How a row ends that cannot be sent. */
export function defective(message: string): Outcome {
  return {
    kind: "failed",
    code: "bad_request",
    message: `The row in net.http_request_queue cannot be sent: ${message}`,
    detail: null,
    maybeReceived: false,
    timings: { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 },
  };
}
