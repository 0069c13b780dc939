// The seek bar: played, buffered, and a small picture of the place under the pointer (trick-play tiles of one sprite).
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Thumbnails } from "../api/types";
import { clock } from "../ui/format";
import { engine } from "./engine";
import * as state from "./state";

export function SeekBar({ title_id }: { title_id: string }) {
  const bar = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<number | null>(null);
  const [held, setHeld] = useState(false);
  const tiles = useThumbnails(title_id);
  const end_s = state.duration_s.value || 0;
  const share = (seconds: number): number => (end_s ? Math.min(1, Math.max(0, seconds / end_s)) : 0);
  const at = (event: PointerEvent): number => {
    const box = bar.current?.getBoundingClientRect();
    if (!box || !box.width) return 0;
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * end_s;
  };
  // While the bar is held the handle follows the finger; the film follows when it is let go.
  const shown_s = held && hover !== null ? hover : state.position_s.value;
  const press = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -60, PageUp: 60 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    engine.seek(engine.video.currentTime + step);
  };
  return (
    <div
      class={held ? "seek held" : "seek"}
      ref={bar}
      role="slider"
      tabIndex={0}
      aria-label="Position"
      aria-valuemin={0}
      aria-valuemax={Math.round(end_s)}
      aria-valuenow={Math.round(state.position_s.value)}
      aria-valuetext={`${clock(state.position_s.value)} of ${clock(end_s)}`}
      data-testid="seek-bar"
      onKeyDown={press}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setHeld(true);
        setHover(at(event));
      }}
      onPointerMove={(event) => setHover(at(event))}
      onPointerUp={(event) => {
        if (!held) return;
        setHeld(false);
        engine.seek(at(event));
        if (event.pointerType !== "mouse") setHover(null);
      }}
      onPointerCancel={() => setHeld(false)}
      onPointerLeave={() => !held && setHover(null)}
    >
      <span class="seek-track">
        <span class="seek-buffered" style={{ transform: `scaleX(${share(state.buffered_s.value)})` }} />
        <span class="seek-played" style={{ transform: `scaleX(${share(shown_s)})` }} />
      </span>
      <span class="seek-handle" style={{ left: `${share(shown_s) * 100}%` }} />
      {hover !== null && end_s > 0 && (
        <span class="seek-preview" style={{ left: `clamp(var(--half), ${share(hover) * 100}%, calc(100% - var(--half)))`, "--half": `${(tiles ? tiles.tile_width : 60) / 2}px` }} data-testid="seek-preview">
          {tiles && <Tile tiles={tiles} at_s={hover} />}
          <span class="seek-preview-time">{clock(hover)}</span>
        </span>
      )}
    </div>
  );
}

function Tile({ tiles, at_s }: { tiles: Thumbnails & { url: string }; at_s: number }) {
  const place = Math.min(tiles.count - 1, Math.floor(at_s / tiles.interval_s));
  const column = place % tiles.columns;
  const line = Math.floor(place / tiles.columns);
  return (
    <span
      class="seek-tile"
      style={{
        width: `${tiles.tile_width}px`,
        height: `${tiles.tile_height}px`,
        backgroundImage: `url("${tiles.url}")`,
        backgroundPosition: `-${column * tiles.tile_width}px -${line * tiles.tile_height}px`,
      }}
    />
  );
}

/** The sprite is fetched once the film runs: the first frame goes first, and later nobody may be there to ask. */
function useThumbnails(title_id: string): (Thumbnails & { url: string }) | null {
  const [tiles, setTiles] = useState<(Thumbnails & { url: string }) | null>(null);
  const started = state.startup_ms.value !== null;
  useEffect(() => {
    setTiles(null);
    if (!started || !title_id || state.soundOnly.peek()) return;
    let current = true;
    const base = `/api/v1/titles/${encodeURIComponent(title_id)}`;
    api<Thumbnails>("GET", `${base}/thumbnails.json`, { quiet: true }).then(
      (found) => {
        const url = found.url || `${base}/thumbnails.jpg`;
        const picture = new Image();
        picture.onload = () => current && setTiles({ ...found, url });
        picture.src = url;
      },
      // A title without tiles, or no gateway: the bar works without pictures.
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [title_id, started]);
  return tiles;
}
