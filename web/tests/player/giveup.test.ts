import { describe, expect, it } from "vitest";
import { GIVE_UP_MS, givesUp, type Seen, UTMOST_MS, type Wait, waited } from "../../src/player/giveup";

const STEP_MS = 500;
const seen = (change: Partial<Seen> = {}): Seen => ({ now_ms: 0, waiting: true, bytes: 0, ahead_s: 0, untried: 0, ...change });

/** When the player gives up, looking twice a second; null: not within two minutes. */
function verdict(look: (now_ms: number) => Partial<Seen>): number | null {
  let wait: Wait | null = null;
  for (let now_ms = 0; now_ms <= 120_000; now_ms += STEP_MS) {
    const each = seen({ now_ms, ...look(now_ms) });
    wait = waited(wait, each);
    if (givesUp(wait, each.untried)) return now_ms;
  }
  return null;
}

describe("giving up", () => {
  it("comes in a bounded time where no edge ever sends a byte", () => {
    expect(verdict(() => ({}))).toBe(GIVE_UP_MS);
  });

  it("counts from the last byte", () => {
    expect(verdict((now_ms) => ({ bytes: Math.min(now_ms, 20_000) }))).toBe(20_000 + GIVE_UP_MS);
  });

  it("never comes while bytes trickle in", () => {
    expect(verdict((now_ms) => ({ bytes: Math.floor(now_ms / 8_000) }))).toBeNull();
  });

  it("in mid-film waits until the buffer is empty", () => {
    expect(verdict((now_ms) => ({ ahead_s: Math.max(0, 40 - now_ms / 1000), waiting: now_ms >= 40_000 }))).toBe(40_000 + GIVE_UP_MS);
  });

  it("does not come for a film that is paused with something to show", () => {
    expect(verdict(() => ({ waiting: false }))).toBeNull();
    expect(verdict(() => ({ ahead_s: 3 }))).toBeNull();
  });

  it("lets edges that were not tried have their turn, but not for ever", () => {
    expect(verdict((now_ms) => ({ untried: now_ms < 15_000 ? 1 : 0 }))).toBe(15_000);
    expect(verdict(() => ({ untried: 1 }))).toBe(UTMOST_MS);
  });

  it("does not count the time that the machine slept", () => {
    expect(verdict((now_ms) => ({ now_ms: now_ms < 6_000 ? now_ms : now_ms + 3_600_000 }))).toBe(6_000 + GIVE_UP_MS);
  });

  it("begins anew for each wait", () => {
    expect(verdict((now_ms) => ({ waiting: now_ms % 10_000 < 8_000 }))).toBeNull();
  });
});
