import { describe, expect, it, vi } from "vitest";
import { Once } from "../../src/player/once";

describe("work that is done once", () => {
  it("is shared by all who wait for it", async () => {
    const make = vi.fn(async () => undefined);
    const once = new Once(make);
    await Promise.all([once.done(), once.done()]);
    await once.done();
    expect(make).toHaveBeenCalledTimes(1);
  });

  it("is done anew after it failed", async () => {
    const make = vi.fn(async () => undefined).mockRejectedValueOnce(new Error("no player"));
    const once = new Once(make);
    await expect(once.done()).rejects.toThrow("no player");
    await once.done();
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("may be replaced by other work, which is forgotten alike", async () => {
    const make = vi.fn(async () => undefined);
    const once = new Once(make);
    await once.done();
    const failing = once.begin(Promise.reject(new Error("no player")));
    expect(once.done()).toBe(failing);
    await expect(failing).rejects.toThrow("no player");
    await once.done();
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("is not forgotten for the failure of what it replaced", async () => {
    const once = new Once(() => Promise.reject(new Error("no player")));
    const failing = once.done();
    const other = once.begin(Promise.resolve());
    await expect(failing).rejects.toThrow("no player");
    expect(once.done()).toBe(other);
  });
});
