// What the player's controls show: signals that the engine sets and the components read.
import { signal } from "@preact/signals";
import type { Problem, Session } from "../api/types";

export type Status = "idle" | "loading" | "playing" | "paused" | "ended" | "failed" | "lapsed";

/** The menu that is open. */
export type Panel = "" | "captions" | "audio" | "quality";

export interface Choice {
  /** What is told to the engine when it is picked. */
  id: string;
  label: string;
  detail: string;
  active: boolean;
}

export const status = signal<Status>("idle");
export const titleId = signal("");
export const position_s = signal(0);
export const duration_s = signal(0);
export const buffered_s = signal(0);
/** The film has started, but waits for data. */
export const stalled = signal(false);
/** What is on the screen: `1080p`. */
export const qualityLabel = signal("");
export const problem = signal<Problem | null>(null);
export const muted = signal(false);
export const volume = signal(1);
/** The browser allowed no sound before a click. */
export const silenced = signal(false);
export const reconnecting = signal(false);
export const audioChoices = signal<Choice[]>([]);
export const captionChoices = signal<Choice[]>([]);
export const qualityChoices = signal<Choice[]>([]);
export const session = signal<Session | null>(null);
/** No picture in this film: the poster stands in. */
export const soundOnly = signal(false);
export const startup_ms = signal<number | null>(null);

export function reset(id: string): void {
  titleId.value = id;
  status.value = "loading";
  position_s.value = 0;
  duration_s.value = 0;
  buffered_s.value = 0;
  stalled.value = false;
  qualityLabel.value = "";
  problem.value = null;
  silenced.value = false;
  reconnecting.value = false;
  audioChoices.value = [];
  captionChoices.value = [];
  qualityChoices.value = [];
  session.value = null;
  soundOnly.value = false;
  startup_ms.value = null;
}

let started = "";

/** A click begins this play before the player's page is there. */
export function markStarted(title_id: string): void {
  started = title_id;
}

/** Did a click begin this play? A page that was opened by its address has to start by itself. */
export function takeStarted(title_id: string): boolean {
  const was = started === title_id;
  started = "";
  return was;
}
