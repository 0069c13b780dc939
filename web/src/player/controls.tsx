// The controls over the film: top bar, seek bar, buttons, and the menus that open from them.
import { useEffect, useState } from "preact/hooks";
import type { Title } from "../api/types";
import { clock } from "../ui/format";
import { Audio, Back, Captions, Chart, Enter, Gauge, Leave, Muted, Pause, Play, Skip, Volume, VolumeLow } from "../ui/icons";
import { engine } from "./engine";
import { seekBy, toggleFullscreen } from "./keys";
import { CaptionLooks, Menu } from "./menus";
import { SeekBar } from "./seekbar";
import * as state from "./state";
import type { Panel } from "./state";

interface Properties {
  title: Title | undefined;
  panel: Panel;
  stats: boolean;
  onPanel: (panel: Panel) => void;
  onStats: () => void;
  onLeave: () => void;
}

export function Controls({ title, panel, stats, onPanel, onStats, onLeave }: Properties) {
  const playing = state.status.value === "playing" || state.status.value === "loading";
  return (
    <div class="controls">
      <div class="controls-top">
        <button class="icon-button" aria-label="Back" data-testid="player-back" onClick={onLeave}>
          <Back size={28} />
        </button>
        <p class="controls-title">{title?.metadata.name}</p>
        {state.qualityLabel.value && (
          <span class="badge controls-quality" data-testid="player-quality">{state.qualityLabel.value}</span>
        )}
      </div>
      <div class="controls-bottom">
        <div class="controls-time">
          <SeekBar title_id={state.titleId.value} />
          <span class="time" data-testid="player-time" data-position={state.position_s.value.toFixed(2)}>
            {clock(state.position_s.value)} <span aria-hidden="true">/</span> <span class="time-end">{clock(state.duration_s.value)}</span>
          </span>
        </div>
        <div class="controls-buttons">
          <button class="icon-button" aria-label={playing ? "Pause" : "Play"} data-testid="player-toggle" onClick={() => engine.toggle()}>
            {playing ? <Pause size={30} /> : <Play size={30} />}
          </button>
          <button class="icon-button" aria-label="Back 10 seconds" onClick={() => seekBy(-10)}>
            <Skip back />
          </button>
          <button class="icon-button" aria-label="Forward 10 seconds" onClick={() => seekBy(10)}>
            <Skip />
          </button>
          <Loudness />
          <span class="spring" />
          <MenuButton panel="captions" label="Subtitles" icon={<Captions />} count={state.captionChoices.value.length} open={panel} onPanel={onPanel} />
          <MenuButton panel="audio" label="Audio" icon={<Audio />} count={state.audioChoices.value.length > 1 ? 2 : 0} open={panel} onPanel={onPanel} />
          <MenuButton panel="quality" label="Quality" icon={<Gauge />} count={state.qualityChoices.value.length} open={panel} onPanel={onPanel} />
          <button class="icon-button wide-only" aria-label="Playback details" aria-pressed={stats} data-testid="stats-toggle" onClick={onStats}>
            <Chart />
          </button>
          <FullscreenButton />
        </div>
      </div>
      {panel && <OpenMenu panel={panel} onClose={() => onPanel("")} />}
    </div>
  );
}

interface MenuButtonProperties {
  panel: Exclude<Panel, "">;
  label: string;
  icon: preact.JSX.Element;
  count: number;
  open: Panel;
  onPanel: (panel: Panel) => void;
}

function MenuButton({ panel, label, icon, count, open, onPanel }: MenuButtonProperties) {
  if (count === 0) return null;
  return (
    <button
      class="icon-button"
      aria-label={label}
      aria-haspopup="menu"
      aria-expanded={open === panel}
      data-testid={`${panel}-button`}
      onClick={() => onPanel(open === panel ? "" : panel)}
    >
      {icon}
    </button>
  );
}

function OpenMenu({ panel, onClose }: { panel: Exclude<Panel, "">; onClose: () => void }) {
  if (panel === "audio") {
    return <Menu name="audio" label="Audio" option="audio-option" choices={state.audioChoices.value} onPick={(id) => engine.choices.pickAudio(id)} onClose={onClose} />;
  }
  if (panel === "quality") {
    return <Menu name="quality" label="Quality" option="quality-option" choices={state.qualityChoices.value} onPick={(id) => engine.choices.pickQuality(id)} onClose={onClose} />;
  }
  return (
    <Menu name="captions" label="Subtitles" option="caption-option" choices={state.captionChoices.value} onPick={(id) => engine.choices.pickCaption(id)} onClose={onClose}>
      <CaptionLooks />
    </Menu>
  );
}

function Loudness() {
  const level = state.muted.value ? 0 : state.volume.value;
  const Picture = level === 0 ? Muted : level < 0.5 ? VolumeLow : Volume;
  return (
    <span class="loudness">
      <button class="icon-button" aria-label={level === 0 ? "Turn sound on" : "Turn sound off"} data-testid="player-mute" onClick={() => engine.mute()}>
        <Picture />
      </button>
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value={level}
        aria-label="Volume"
        style={{ "--filled": `${level * 100}%` }}
        onInput={(event) => engine.setVolume(Number(event.currentTarget.value))}
      />
    </span>
  );
}

function FullscreenButton() {
  const [full, setFull] = useState(document.fullscreenElement !== null);
  useEffect(() => {
    const look = (): void => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", look);
    return () => document.removeEventListener("fullscreenchange", look);
  }, []);
  return (
    <button class="icon-button" aria-label={full ? "Leave full screen" : "Full screen"} data-testid="player-fullscreen" onClick={toggleFullscreen}>
      {full ? <Leave /> : <Enter />}
    </button>
  );
}
