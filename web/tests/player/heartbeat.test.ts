import { beforeEach, expect, it } from "vitest";
import { heartbeat, type Told } from "../../src/player/heartbeat";
import * as state from "../../src/player/state";

const player = (stats: object): Told["player"] => ({ getStats: () => stats }) as unknown as Told["player"];
const told = (change: Partial<Told> = {}): Told => ({ video: { currentTime: 0, videoHeight: 0 }, player: null, stalled_s: 0, edge: "", edges: [], ...change });

beforeEach(() => state.reset("a-film"));

it("tells where the viewer is and how well it plays", () => {
  state.status.value = "playing";
  state.buffered_s.value = 42;
  const edges = [{ edge: "a1", watched_s: 10, stalled_s: 0.5, failures: 1, throughput_bps: 4_000_000 }];
  const stats = player({ droppedFrames: 3, estimatedBandwidth: 4_000_000.4 });
  expect(heartbeat(told({ video: { currentTime: 12.34567, videoHeight: 720 }, player: stats, stalled_s: 0.5, edge: "a1", edges }))).toEqual({
    position_s: 12.346,
    buffer_s: 29.654,
    rendition: "720p",
    stalled_s: 0.5,
    dropped_frames: 3,
    throughput_bps: 4_000_000,
    edge: "a1",
    state: "playing",
    error_code: "",
    edges,
  });
});

it("tells zeros, never NaN, of a play that has no figures yet", () => {
  const figures = heartbeat(told({ player: player({ droppedFrames: NaN, estimatedBandwidth: NaN }), stalled_s: NaN }));
  expect(figures).toMatchObject({ position_s: 0, buffer_s: 0, rendition: "", stalled_s: 0, dropped_frames: 0, throughput_bps: 0 });
});

it("has no buffer behind the playhead", () => {
  state.buffered_s.value = 5;
  expect(heartbeat(told({ video: { currentTime: 9, videoHeight: 0 } })).buffer_s).toBe(0);
});

it("calls whatever is not paused, ended or failed playing", () => {
  const states = (["loading", "playing", "paused", "ended", "failed"] as const).map((status) => {
    state.status.value = status;
    return heartbeat(told()).state;
  });
  expect(states).toEqual(["playing", "playing", "paused", "ended", "failed"]);
});
