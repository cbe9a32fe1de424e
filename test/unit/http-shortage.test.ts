import { describe, expect, it } from "vitest";
import { failureOf, type Progress } from "../../src/http/failure.ts";
import { shortageIn } from "../../src/http/shortage.ts";

function systemError(code: string, address = "192.0.2.1"): Error {
  return Object.assign(new Error(code), { code, address });
}

describe("what is lacking here is distinguished from what failed there", () => {
  it.each(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EAGAIN", "EAI_MEMORY", "NO_THREAD", "EADDRNOTAVAIL"])(
    "%s is a shortage",
    (code) => {
      expect(shortageIn(systemError(code))).toBe(code);
    },
  );

  it.each(["ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "ETIMEOUT", "EACCES"])(
    "%s is none",
    (code) => {
      expect(shortageIn(systemError(code))).toBe(null);
    },
  );

  it("one address that could not be tried for want of something is enough", () => {
    const both = new AggregateError([systemError("ECONNREFUSED"), systemError("EMFILE")]);
    expect(shortageIn(both)).toBe("EMFILE");
    expect(shortageIn(new AggregateError([systemError("ECONNREFUSED")]))).toBe(null);
  });

  it.each([
    ["2001:db8::1", ["2001:db8::2"], "EADDRNOTAVAIL"],
    ["2001:db8::1", ["::1", "fe80::1"], null],
    ["2001:db8::1", [], null],
    ["::1", ["::1"], "EADDRNOTAVAIL"],
    ["192.0.2.1", [], "EADDRNOTAVAIL"],
  ])("an address not available for %s from %j: no port, or no such network (%s)", (address, own, code) => {
    expect(shortageIn(systemError("EADDRNOTAVAIL", address), () => own)).toBe(code);
  });

  it.each<[Progress, string]>([
    ["dns", "shortage"],
    ["tcp", "shortage"],
    ["tls", "shortage"],
    ["sent", "bad_reply"],
    ["head", "bad_reply"],
    ["body", "bad_reply"],
  ])("while %s it is %s: what was sent is not sent again", (progress, code) => {
    expect(failureOf(systemError("ENOBUFS"), progress).code).toBe(code);
  });
});
