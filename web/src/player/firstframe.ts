// The first frame of a play: what the viewer has waited for.

/** True once it is on the screen; false when `signal` ended the play before. Leaves nothing behind on the video element, which
 *  serves every play of a visit. */
export function firstFrame(video: HTMLVideoElement, soundOnly: () => boolean, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  const frames = "requestVideoFrameCallback" in video;
  return new Promise((done) => {
    const over = new AbortController();
    const settle = (seen: boolean): void => {
      over.abort();
      if (frames) video.cancelVideoFrameCallback(frame);
      done(seen);
    };
    const frame = frames ? video.requestVideoFrameCallback(() => settle(true)) : 0;
    // Films without a picture have no frame to wait for.
    video.addEventListener("playing", () => (soundOnly() || !frames) && settle(true), { signal: over.signal });
    signal.addEventListener("abort", () => settle(false), { signal: over.signal });
  });
}
