// What is going on behind the picture, for those who want to know: key s, or the button with the bars.
import { useEffect, useState } from "preact/hooks";
import { bitrate, counted } from "../ui/format";
import { Close } from "../ui/icons";
import { engine } from "./engine";
import { vmafByHeight } from "./quality";
import * as state from "./state";

const LOOK_MS = 500;

export function Stats({ onClose }: { onClose: () => void }) {
  const [lines, setLines] = useState(look());
  useEffect(() => {
    const timer = setInterval(() => setLines(look()), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <aside class="stats" data-testid="player-stats" aria-label="Playback details">
      <button class="icon-button" aria-label="Close details" onClick={onClose}>
        <Close size={18} />
      </button>
      <dl>
        {lines.map(({ id, name, value }) => (
          <div key={id}>
            <dt>{name}</dt>
            <dd data-testid={`stat-${id}`}>{value}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

interface Line {
  id: string;
  name: string;
  value: string;
}

function look(): Line[] {
  const { player, network, video } = engine;
  const stats = player?.getStats();
  const track = player?.getVideoTracks().find((each) => each.active);
  const session = state.session.value;
  const edge = network?.current;
  const next = track?.height && track.height !== video.videoHeight ? ` (next ${track.height}p)` : "";
  const vmaf = vmafByHeight(session?.manifest ?? "").get(video.videoHeight);
  const line = (id: string, name: string, value: string): Line => ({ id, name, value });
  return [
    line("rendition", "Rendition", `${video.videoWidth} × ${video.videoHeight}${next}`),
    line("vmaf", "VMAF", vmaf === undefined ? "–" : vmaf.toFixed(1)),
    line("codecs", "Codecs", stats?.currentCodecs || "–"),
    line("bitrate", "Bit rate", bitrate(stats?.streamBandwidth ?? 0)),
    line("buffer", "Buffer", `${Math.max(0, state.buffered_s.value - video.currentTime).toFixed(1)} s`),
    line("throughput", "Throughput", bitrate(stats?.estimatedBandwidth ?? 0)),
    line("edge", "Edge", edge ? `${edge.appliance} · ${edge.site}` : "–"),
    line("alternates", "Alternates", network?.ranked().filter((each) => each !== edge).map((each) => each.appliance).join(", ") || "–"),
    line("switches", "Edge switches", String(network?.switches ?? 0)),
    line("dropped", "Dropped frames", `${stats?.droppedFrames || 0} of ${stats?.decodedFrames || 0}`),
    line("stalled", "Stalled", `${window.__nearcast.stalled_s.toFixed(1)} s, ${counted(window.__nearcast.stalls, "time")}`),
    line("startup", "Startup", state.startup_ms.value === null ? "–" : `${Math.round(state.startup_ms.value)} ms`),
    line("steering", "Steering", session?.steering_source ?? "–"),
    line("session", "Session", session ? `${session.session_id.slice(0, 16)}` : "–"),
  ];
}
