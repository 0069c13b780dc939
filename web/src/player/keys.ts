// The keyboard of the player, as people know it from elsewhere: space and k, arrows, j and l, f, m, c, s, digits, Escape.
import { signal } from "@preact/signals";
import { clock } from "../ui/format";
import { engine } from "./engine";
import * as state from "./state";
import type { Panel } from "./state";

export const nudge = signal<{ text: string; at: number } | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  nudge.value = { text, at: performance.now() };
  clearTimeout(timer);
  timer = setTimeout(() => (nudge.value = null), 700);
}

export function seekBy(delta_s: number): void {
  engine.seek(engine.video.currentTime + delta_s);
  say(`${delta_s > 0 ? "+" : "−"}${Math.abs(delta_s)} s · ${clock(engine.video.currentTime)}`);
}

export function louder(delta: number): void {
  engine.setVolume(Math.round((engine.video.volume + delta) * 100) / 100);
  say(`Volume ${Math.round(engine.video.volume * 100)} %`);
}

export function toggleFullscreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen?.().catch(() => undefined);
}

/** Captions off, or the language that was shown last (else the first). */
export function toggleCaptions(): void {
  const choices = state.captionChoices.peek();
  const active = choices.find((each) => each.active);
  if (choices.length < 2) return say("No subtitles");
  if (active && active.id !== "off") {
    lastCaption = active.id;
    engine.choices.pickCaption("off");
    return say("Subtitles off");
  }
  const next = choices.find((each) => each.id === lastCaption) ?? choices[1];
  if (next) engine.choices.pickCaption(next.id);
  say(`Subtitles: ${next?.label ?? ""}`);
}
let lastCaption = "";

interface Actions {
  leave: () => void;
  stir: () => void;
  panel: (panel: Panel | ((current: Panel) => Panel)) => void;
  stats: () => void;
}

export function bindKeys(actions: Actions): () => void {
  const press = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target as HTMLElement;
    if (event.key === "Tab") actions.stir();
    if (target.closest("input, select, textarea")) return;
    const inMenu = target.closest("[role=menu]") !== null;
    if (event.key === "Escape") return escape(event, actions);
    const control = target.closest("button, a, [role=slider]") !== null;
    // Space and Enter belong to a focused button, arrows to an open menu or a slider.
    if (control && (event.key === " " || event.key === "Enter")) return;
    if ((inMenu || target.closest("[role=slider]")) && event.key.startsWith("Arrow")) return;
    if (["failed", "lapsed"].includes(state.status.peek())) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) act();
    else if (event.key === "s") actions.stats();
    else if (/^[0-9]$/.test(event.key)) engine.seek((state.duration_s.peek() * Number(event.key)) / 10);
    else return;
    event.preventDefault();
    actions.stir();
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}

const KEYS: Record<string, () => void> = {
  " ": () => engine.toggle(),
  k: () => engine.toggle(),
  ArrowLeft: () => seekBy(-5),
  ArrowRight: () => seekBy(5),
  j: () => seekBy(-10),
  l: () => seekBy(10),
  ArrowUp: () => louder(0.05),
  ArrowDown: () => louder(-0.05),
  m: () => {
    engine.mute();
    say(engine.video.muted ? "Sound off" : "Sound on");
  },
  f: toggleFullscreen,
  c: toggleCaptions,
  Home: () => engine.seek(0),
  End: () => engine.seek(state.duration_s.peek()),
};

/** Escape closes what is open; with nothing open it leaves (full screen first, which the browser does itself). */
function escape(event: KeyboardEvent, actions: Actions): void {
  let closed = false;
  actions.panel((current) => {
    closed = current !== "";
    return "";
  });
  event.preventDefault();
  if (!closed && !document.fullscreenElement) actions.leave();
}
