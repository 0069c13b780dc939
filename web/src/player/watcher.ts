// What the video element says, as signals for the controls and as a meter of stalls.
import { NO_DATA_S } from "./giveup";
import { keep } from "./memory";
import { measure } from "./measures";
import * as state from "./state";

interface Heard {
  playing: () => void;
  paused: () => void;
  seeked: () => void;
  ended: () => void;
}

export class Watcher {
  private waiting_since_ms = 0;
  private stalled_ms = 0;
  private stalls = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    heard: Heard,
  ) {
    const on = (names: string, then: () => void): void => names.split(" ").forEach((name) => video.addEventListener(name, then));
    on("timeupdate seeking progress", () => this.look());
    on("durationchange", () => (state.duration_s.value = Number.isFinite(video.duration) ? video.duration : 0));
    on("resize", () => (state.qualityLabel.value = video.videoHeight ? `${video.videoHeight}p` : ""));
    on("waiting", () => this.standing());
    on("seeking", () => {
      // A seek into what is not there yet shows that it waits, but is no stall.
      if (this.begun && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) state.stalled.value = true;
    });
    on("canplay", () => (state.stalled.value = false));
    on("playing", () => {
      this.moving();
      state.status.value = "playing";
      heard.playing();
    });
    on("pause", () => {
      this.moving();
      if (video.ended) return;
      if (state.status.value === "playing") state.status.value = "paused";
      if (this.begun) heard.paused();
    });
    on("seeked", () => this.begun && heard.seeked());
    on("ended", () => {
      state.status.value = "ended";
      heard.ended();
    });
    on("volumechange", () => this.loudness());
    this.loudness();
  }

  /** Seconds that the film has stood still for want of data, the present stall included. */
  get stalled_s(): number {
    const waiting_ms = this.waiting_since_ms ? performance.now() - this.waiting_since_ms : 0;
    return (this.stalled_ms + waiting_ms) / 1000;
  }

  reset(): void {
    this.waiting_since_ms = this.stalled_ms = this.stalls = 0;
    measure({ stalls: 0, stalled_s: 0 });
  }

  private get begun(): boolean {
    return state.startup_ms.value !== null;
  }

  private loudness(): void {
    const { video } = this;
    state.volume.value = video.volume;
    state.muted.value = video.muted;
    // What the browser silenced by itself is not what the viewer wants next time.
    if (!state.silenced.value) keep({ volume: video.volume, muted: video.muted });
  }

  private look(): void {
    const { video } = this;
    state.position_s.value = video.currentTime;
    let end_s = 0;
    for (let index = 0; index < video.buffered.length; index += 1) {
      if (video.buffered.start(index) <= video.currentTime + 0.25) end_s = Math.max(end_s, video.buffered.end(index));
    }
    state.buffered_s.value = end_s;
  }

  /** A stall is a film that has begun and ran out of data. A decoder that is late with data at hand drops frames, which is told
   *  apart; a seek waits by its nature. */
  private standing(): void {
    if (!this.begun) return;
    this.look();
    const { video } = this;
    const ahead_s = state.buffered_s.value - video.currentTime;
    if (ahead_s > NO_DATA_S || video.duration - video.currentTime < NO_DATA_S) return;
    state.stalled.value = true;
    if (this.waiting_since_ms || video.seeking) return;
    this.waiting_since_ms = performance.now();
    this.stalls += 1;
    measure({ stalls: this.stalls });
  }

  private moving(): void {
    state.stalled.value = false;
    this.stalled_ms = this.stalled_s * 1000;
    this.waiting_since_ms = 0;
    measure({ stalled_s: this.stalled_ms / 1000 });
  }
}
