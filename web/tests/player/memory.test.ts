import { describe, expect, it } from "vitest";
import { keep, recentSpeed } from "../../src/player/memory";

describe("the past speed", () => {
  it("is told for a day, and not for longer", () => {
    keep({ throughput_bps: 4_200_000.4, throughput_at_ms: 1_000 });
    expect(recentSpeed(2_000)).toBe(4_200_000);
    expect(recentSpeed(1_000 + 24 * 3_600_000)).toBe(0);
  });
});
