import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { within } from "../../src/player/within";

const always = (): boolean => true;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it("is the work where that ends in time, well or badly", async () => {
  expect(await within(1_000, Promise.resolve(7), always)).toBe(7);
  await expect(within(1_000, Promise.reject(new Error("no player")), always)).rejects.toThrow("no player");
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
});

it("fails for work that never ends", async () => {
  const late = expect(within(1_000, new Promise(() => undefined), always)).rejects.toThrow("not done within 1000 ms");
  await vi.advanceTimersByTimeAsync(1_000);
  await late;
  expect(vi.getTimerCount()).toBe(0);
});

it("does not count the time in which nothing could be done", async () => {
  let counts = false;
  let failed = false;
  within(1_000, new Promise(() => undefined), () => counts).catch(() => (failed = true));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(failed).toBe(false);
  counts = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(failed).toBe(true);
});
