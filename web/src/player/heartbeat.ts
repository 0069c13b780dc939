// What a heartbeat tells of a play.
import type { EdgeMeasured, Heartbeat } from "../api/types";
import type { Player } from "./shaka";
import * as state from "./state";

export interface Told {
  video: Pick<HTMLVideoElement, "currentTime" | "videoHeight">;
  player: Pick<Player, "getStats"> | null;
  stalled_s: number;
  edge: string;
  edges: EdgeMeasured[];
}

const STATES = { ended: "ended", failed: "failed", paused: "paused" } as const;

export function heartbeat({ video, player, stalled_s, edge, edges }: Told): Heartbeat {
  const stats = player?.getStats();
  return {
    position_s: round(video.currentTime),
    buffer_s: round(Math.max(0, state.buffered_s.value - video.currentTime)),
    rendition: video.videoHeight ? `${video.videoHeight}p` : "",
    stalled_s: round(stalled_s),
    dropped_frames: stats?.droppedFrames || 0,
    throughput_bps: Math.round(stats?.estimatedBandwidth || 0),
    edge,
    state: STATES[state.status.value as keyof typeof STATES] ?? "playing",
    error_code: state.problem.value?.code ?? "",
    edges,
  };
}

function round(seconds: number): number {
  return Math.round((seconds || 0) * 1000) / 1000;
}
