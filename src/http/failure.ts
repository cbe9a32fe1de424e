import { RefusedAddress } from "./connect.ts";
import { type FailureCode } from "./outcome.ts";
import { shortageIn } from "./shortage.ts";

/** Why a request got no usable answer. */
export interface Failure {
  readonly code: FailureCode;
  /** In pg_net's words, which are those of libcurl, where it has them. */
  readonly message: string;
  /** The system's or library's own code for it, such as ECONNREFUSED; null without one. */
  readonly detail: string | null;
}

/** How far a request had come when its connection failed. */
export type Progress = "dns" | "tcp" | "tls" | "ready" | "sent" | "head" | "body";

/** The request cannot be sent as it is; `message` names the part, never a value (P11). */
export function badRequest(message: string): Failure {
  return { code: "bad_request", message, detail: null };
}

/** The request was ended by us: at the end of the grace time, or because the client was closed. */
export const ABORTED: Failure = {
  code: "aborted",
  message: "Operation was aborted by an application callback",
  detail: null,
};

/** More redirects than allowed. */
export const TOO_MANY_REDIRECTS: Failure = {
  code: "redirects",
  message: "Number of redirects hit maximum amount",
  detail: null,
};

/** A body in an encoding that it does not keep to. */
export function badEncoding(detail: string | null): Failure {
  return { code: "bad_reply", message: "Unrecognized or bad HTTP Content or Transfer-Encoding", detail };
}

/** A body larger than `maxBytes`, as received or decoded. */
export function tooLarge(maxBytes: number): Failure {
  return { code: "too_large", message: `Maximum file size exceeded (${maxBytes} bytes)`, detail: null };
}

/** No memory was free for the rest of the answer. Not the server's fault, and said so. */
export function outOfMemory(waitedMs: number): Failure {
  const message = `Out of memory: the answer waited ${Math.round(waitedMs)} ms for a part of results.memoryBytes`;
  return { code: "no_memory", message, detail: null };
}

/** What OpenSSL and Node call a certificate that is not trusted, not valid now, or not for this host. */
const CERTIFICATE = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "ERROR_IN_CERT_NOT_AFTER_FIELD",
  "ERROR_IN_CERT_NOT_BEFORE_FIELD",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** The failure that `error` is for a request that had come as far as `progress`. */
export function failureOf(error: Error, progress: Progress): Failure {
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  if (error instanceof RefusedAddress) return refusedAddress(error);
  if (code === "UND_ERR_DESTROYED" || code === "UND_ERR_CLOSED") return ABORTED;
  const lacking = progress === "dns" || progress === "tcp" || progress === "tls" ? shortageIn(error) : null;
  if (lacking !== null) return { code: "shortage", message: "Out of resources to connect", detail: lacking };
  switch (progress) {
    case "dns":
      return { code: "dns", message: "Couldn't resolve host name", detail: code };
    case "tcp":
      return { code: "connect", message: "Couldn't connect to server", detail: code };
    case "tls":
      return code !== null && CERTIFICATE.has(code)
        ? { code: "tls", message: "SSL peer certificate or SSH remote key was not OK", detail: code }
        : { code: "tls", message: "SSL connect error", detail: code };
    case "ready":
    case "sent":
    case "head":
    case "body":
      return exchangeFailure(code, progress);
  }
}

function refusedAddress({ hostname, address }: RefusedAddress): Failure {
  const what = hostname === address ? `address ${address}` : `address ${address} of host ${hostname}`;
  return {
    code: "refused_address",
    message: `Refused ${what}: it is not on the public internet. To allow it, add it to PGNETD_ALLOW_NETWORKS`,
    detail: null,
  };
}

/** Decides on what undici, its parser (codes HPE_*) or the socket reported once the connection stood. */
function exchangeFailure(code: string | null, progress: "ready" | "sent" | "head" | "body"): Failure {
  if (code === "UND_ERR_HEADERS_OVERFLOW")
    return { code: "too_large", message: "A value or data field grew larger than allowed", detail: code };
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED")
    return { code: "bad_request", message: "the request cannot be sent over HTTP", detail: code };
  const cut =
    code === "UND_ERR_SOCKET" || code === "HPE_INVALID_EOF_STATE" || code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH";
  if (progress === "body" && cut) return { code: "bad_reply", message: "Transferred a partial file", detail: code };
  if (progress !== "body" && progress !== "head" && code === "UND_ERR_SOCKET")
    return { code: "empty_reply", message: "Server returned nothing (no headers, no data)", detail: code };
  if (code === "EPIPE") return { code: "empty_reply", message: "Failed sending data to the peer", detail: code };
  if (code === "ECONNRESET" || code === "ETIMEDOUT" || code === "UND_ERR_SOCKET")
    return {
      code: progress === "head" || progress === "body" ? "bad_reply" : "empty_reply",
      message: "Failure when receiving data from the peer",
      detail: code,
    };
  return { code: "bad_reply", message: "Weird server reply", detail: code };
}
