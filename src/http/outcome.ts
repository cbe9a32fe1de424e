/** Where the time of one request went, in milliseconds; a phase not reached is 0. */
export interface Timings {
  readonly totalMs: number;
  readonly dnsMs: number;
  /** TCP and TLS handshakes. */
  readonly connectMs: number;
  /** The rest: from the connection to the end of the response or to the failure, with the wait for a free connection. */
  readonly exchangeMs: number;
}

/** The closed set of reasons for a request that got no usable answer. */
export type FailureCode =
  | "timeout"
  | "refused_address"
  | "bad_request"
  | "dns"
  | "connect"
  | "tls"
  | "empty_reply"
  | "bad_reply"
  | "too_large"
  | "no_memory"
  | "redirects"
  | "aborted"
  /** Never sent: another installation made the request. */
  | "other_installation"
  /** Not sent, for want of descriptors, memory, ports or threads here: not an answer, the request is to be sent later. */
  | "shortage";

/** An answer came, whatever its status. */
export interface Answered {
  readonly kind: "answered";
  readonly status: number;
  /** Header names in the server's own case, all of them, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Value of Content-Type as sent, null without one. */
  readonly contentType: string | null;
  /** The body with its content encoding (gzip, deflate, br) undone; charset still as sent. */
  readonly content: Buffer;
  readonly timings: Timings;
}

/** No usable answer. `message` becomes `error_msg` and uses pg_net's words where pg_net has them. */
export interface Failed {
  readonly kind: "failed";
  readonly code: FailureCode;
  readonly message: string;
  /** The system's or library's own code beneath the message, such as ECONNREFUSED or CERT_HAS_EXPIRED; null without one. */
  readonly detail?: string | null | undefined;
  /** True when bytes of the request may have reached the destination. */
  readonly maybeReceived: boolean;
  readonly timings: Timings;
}

/** How one try of a request ended. A value, never an exception. */
export type Outcome = Answered | Failed;
