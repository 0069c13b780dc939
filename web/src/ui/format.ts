// How numbers read to people.

export function runtime(seconds: number): string {
  if (!seconds) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The class of a film's name in large letters: the longer the name, the smaller they are. */
export function display(name: string): string {
  return name.length > 36 ? "display long" : "display";
}

export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(minutes).padStart(hours ? 2 : 1, "0")}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

export function bitrate(bps: number): string {
  if (!Number.isFinite(bps) || bps <= 0) return "–";
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(bps >= 1e7 ? 0 : 1)} Mb/s` : `${Math.round(bps / 1e3)} kb/s`;
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  const power = Math.min(units.length, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[power - 1]}`;
}

/** `1 title`, `2 titles`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A language tag as a person would say it; the tag itself where the browser knows no name. */
export function language(tag: string): string {
  if (!tag || tag === "und") return "Original";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

export function quality(max_height: number): string {
  if (max_height >= 2160) return "4K";
  return max_height ? `${max_height}p` : "";
}

/** The share of a title that has been watched, 0 to 1; 0 where there is nothing to go on. */
export function watched(position_s: number | null, runtime_s: number): number {
  if (!position_s || !runtime_s) return 0;
  return Math.min(1, Math.max(0, position_s / runtime_s));
}

/** Is there something to resume: begun, and not as good as over? */
export function resumable(position_s: number | null, runtime_s: number): boolean {
  const share = watched(position_s, runtime_s);
  return (position_s ?? 0) > 1 && share < 0.97;
}

/** A small stable number from a text, to pick colours by. */
export function hash(text: string): number {
  let value = 2166136261;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 16777619);
  return value >>> 0;
}
