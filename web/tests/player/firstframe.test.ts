import { describe, expect, it, vi } from "vitest";
import { firstFrame } from "../../src/player/firstframe";

/** A video element without a browser: `show` presents a frame. */
class Video extends EventTarget {
  readonly waiting = new Map<number, () => void>();

  requestVideoFrameCallback(then: () => void): number {
    this.waiting.set(1, then);
    return 1;
  }

  cancelVideoFrameCallback(handle: number): void {
    this.waiting.delete(handle);
  }

  show(): void {
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const each of all) each();
  }

  plays(): void {
    this.dispatchEvent(new Event("playing"));
  }
}

const element = (video: EventTarget): HTMLVideoElement => video as unknown as HTMLVideoElement;

describe("the first frame", () => {
  it("is seen when the video shows one", async () => {
    const video = new Video();
    const seen = firstFrame(element(video), () => false, new AbortController().signal);
    video.plays();
    video.show();
    expect(await seen).toBe(true);
  });

  it("of a film without a picture is its first sound", async () => {
    const video = new Video();
    const seen = firstFrame(element(video), () => true, new AbortController().signal);
    video.plays();
    expect(await seen).toBe(true);
    expect(video.waiting.size).toBe(0);
  });

  it("is the first sound, too, where the browser tells of no frames", async () => {
    const video = new EventTarget();
    const seen = firstFrame(element(video), () => false, new AbortController().signal);
    video.dispatchEvent(new Event("playing"));
    expect(await seen).toBe(true);
  });

  it("of a play that failed or was left is waited for no longer", async () => {
    const video = new Video();
    const play = new AbortController();
    const seen = firstFrame(element(video), () => false, play.signal);
    play.abort();
    expect(await seen).toBe(false);
    expect(await firstFrame(element(video), () => false, play.signal)).toBe(false);
  });

  it("leaves nothing behind on the element, however it ended", async () => {
    const video = new Video();
    const soundOnly = vi.fn(() => false);
    const play = new AbortController();
    const left = firstFrame(element(video), soundOnly, play.signal);
    play.abort();
    await left;
    expect(video.waiting.size).toBe(0);
    const seen = firstFrame(element(video), soundOnly, new AbortController().signal);
    video.show();
    await seen;
    video.plays();
    expect(soundOnly).not.toHaveBeenCalled();
  });
});
