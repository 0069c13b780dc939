// Audio, captions and quality as lists to choose from, and what choosing does.
import { bitrate, language } from "../ui/format";
import { keep } from "./memory";
import type { Player } from "./shaka";
import type { Choice } from "./state";

type Audio = ReturnType<Player["getAudioTracks"]>[number];
type Text = ReturnType<Player["getTextTracks"]>[number];

function trackId(track: Audio | Text, all: readonly (Audio | Text)[]): string {
  const tag = track.originalLanguage || track.language || "und";
  const twins = all.filter((each) => (each.originalLanguage || each.language || "und") === tag);
  const place = twins.indexOf(track);
  return place > 0 ? `${tag}-${place + 1}` : tag;
}

/** Its name, unless that is but the language's tag again. */
function label(track: Audio | Text): string {
  const tag = track.originalLanguage || track.language;
  return track.label && track.label !== tag ? track.label : language(tag);
}

export function audioChoices(player: Player): Choice[] {
  const all = player.getAudioTracks();
  return all.map((track) => ({
    id: trackId(track, all),
    label: label(track),
    detail: (track.channelsCount ?? 0) > 2 ? `${(track.channelsCount ?? 6) - 1}.1` : "",
    active: track.active,
  }));
}

export function chooseAudio(player: Player, id: string): void {
  const all = player.getAudioTracks();
  const found = all.find((track) => trackId(track, all) === id);
  if (!found) return;
  player.selectAudioTrack(found);
  keep({ audio: found.language });
}

export function captionChoices(player: Player): Choice[] {
  const all = player.getTextTracks();
  if (all.length === 0) return [];
  const shown = all.some((track) => track.active);
  const off: Choice = { id: "off", label: "Off", detail: "", active: !shown };
  return [off, ...all.map((track) => ({ id: trackId(track, all), label: label(track), detail: "", active: track.active }))];
}

export function chooseCaption(player: Player, id: string): void {
  const all = player.getTextTracks();
  const found = all.find((track) => trackId(track, all) === id) ?? all.find((track) => track.language === id);
  player.selectTextTrack(id === "off" ? null : (found ?? null));
}

export function qualityChoices(player: Player, automatic: boolean): Choice[] {
  const best = new Map<number, { bandwidth: number; active: boolean }>();
  for (const track of player.getVideoTracks()) {
    const height = track.height ?? 0;
    const known = best.get(height);
    if (height) best.set(height, { bandwidth: Math.max(known?.bandwidth ?? 0, track.bandwidth), active: track.active || !!known?.active });
  }
  if (best.size === 0) return [];
  const heights = [...best.entries()].sort(([a], [b]) => b - a);
  const current = heights.find(([, each]) => each.active)?.[0];
  return [
    { id: "auto", label: "Auto", detail: automatic && current ? `${current}p now` : "", active: automatic },
    ...heights.map(([height, each]) => ({
      id: `${height}p`,
      label: `${height}p`,
      detail: bitrate(each.bandwidth),
      active: !automatic && each.active,
    })),
  ];
}

/** `auto`, or a height; answers whether it is automatic now. What is buffered beyond the next seconds is fetched anew, so that
 *  the change is seen soon. */
export function chooseQuality(player: Player, id: string): boolean {
  if (id === "auto") {
    player.configure({ abr: { enabled: true } });
    return true;
  }
  const wanted = player.getVideoTracks().filter((track) => `${track.height}p` === id);
  const found = wanted.sort((a, b) => b.bandwidth - a.bandwidth)[0];
  if (!found) return true;
  player.configure({ abr: { enabled: false } });
  player.selectVideoTrack(found, true, 4);
  return false;
}
