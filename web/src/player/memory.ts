// What this browser keeps from one play to the next: its device id, the last throughput, volume, languages, caption looks.

export interface Preferences {
  throughput_bps: number;
  /** When that was measured. */
  throughput_at_ms: number;
  volume: number;
  muted: boolean;
  audio: string;
  /** `off`, or a language; empty: never chosen, the profile decides. */
  captions: string;
  caption_size: number;
  caption_ground: "none" | "shade" | "solid";
}

const KEY = "nearcast.player";
const DEFAULTS: Preferences = {
  throughput_bps: 0,
  throughput_at_ms: 0,
  volume: 1,
  muted: false,
  audio: "",
  captions: "",
  caption_size: 1,
  caption_ground: "shade",
};

let kept: Preferences = { ...DEFAULTS, ...read() };

function read(): Partial<Preferences> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
  } catch {
    return {};
  }
}

export function preferences(): Readonly<Preferences> {
  return kept;
}

const RECENT_MS = 24 * 3_600_000;

/** What the line carried lately, by which the control plane bounds the renditions that it offers; 0 where that is long ago. */
export function recentSpeed(now_ms: number): number {
  return now_ms - kept.throughput_at_ms < RECENT_MS ? Math.round(kept.throughput_bps) : 0;
}

export function keep(change: Partial<Preferences>): void {
  kept = { ...kept, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // Storage may be full or forbidden; the film plays all the same.
  }
}

/** A random name for this browser, to which licences are bound. */
export function deviceId(): string {
  const found = localStorage.getItem("nearcast.device");
  if (found) return found;
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  localStorage.setItem("nearcast.device", made);
  return made;
}
