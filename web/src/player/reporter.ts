// Heartbeats: where the viewer is and how well it plays. They make bookmarks; the film never waits for them.
import { api } from "../api/client";
import type { Heartbeat } from "../api/types";

const BACKOFF_MAX_S = 120;

export class Reporter {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private misses = 0;
  private ended = false;

  constructor(
    private readonly pause_s: number,
    private readonly session_id: () => string,
    private readonly look: () => Heartbeat,
    /** Given what did not arrive. */
    private readonly untold: (heartbeat: Heartbeat) => void,
  ) {
    this.schedule();
    document.addEventListener("visibilitychange", this.onHide);
    addEventListener("pagehide", this.onHide);
  }

  /** Tells now, out of turn: on pause, seek, end. */
  beat(state?: Heartbeat["state"]): void {
    void this.send(state);
  }

  end(state?: Heartbeat["state"]): void {
    if (this.ended) return;
    void this.send(state ?? "paused");
    this.ended = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onHide);
    removeEventListener("pagehide", this.onHide);
  }

  private readonly onHide = (): void => {
    if (document.visibilityState === "hidden") void this.send();
  };

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.ended) return;
    const wait_s = Math.min(BACKOFF_MAX_S, (this.pause_s || 10) * 2 ** this.misses);
    this.timer = setTimeout(() => void this.send(), wait_s * 1000);
  }

  private async send(state?: Heartbeat["state"]): Promise<void> {
    const body = this.look();
    if (state) body.state = state;
    try {
      const path = `/api/v1/sessions/${encodeURIComponent(this.session_id())}/heartbeat`;
      await api("POST", path, { body, keepalive: true, timeout_ms: 8_000, quiet: true });
      this.misses = 0;
    } catch {
      this.untold(body);
      this.misses = Math.min(4, this.misses + 1);
    }
    this.schedule();
  }
}
