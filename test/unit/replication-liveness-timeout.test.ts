import { expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { LivenessTimeout } from "../../src/replication/liveness-timeout.ts";

test("doubles with each silence at the same place, up to a bound, and is as before further on", () => {
  const livenessTimeout = new LivenessTimeout(4_000);
  const at = lsn(1_000n);
  expect(livenessTimeout.ms(at)).toBe(4_000);
  const grown = Array.from({ length: 7 }, () => {
    livenessTimeout.lost(at);
    return livenessTimeout.ms(at);
  });
  expect(grown).toEqual([8_000, 16_000, 32_000, 64_000, 128_000, 128_000, 128_000]);
  expect(livenessTimeout.ms(lsn(999n))).toBe(128_000);
  expect(livenessTimeout.ms(lsn(1_001n))).toBe(4_000);
  livenessTimeout.lost(lsn(2_000n));
  expect(livenessTimeout.ms(lsn(2_000n))).toBe(8_000);
});
