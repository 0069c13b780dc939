import { beforeEach, describe, expect, it, vi } from "vitest";
import { Choices } from "../../src/player/choices";
import type { Player } from "../../src/player/shaka";
import * as state from "../../src/player/state";

const player = {
  getAudioTracks: () => [],
  getTextTracks: () => [],
  getVideoTracks: () => [
    { height: 720, bandwidth: 3e6, active: true },
    { height: 360, bandwidth: 1e6, active: false },
  ],
  configure: vi.fn(),
  selectVideoTrack: vi.fn(),
} as unknown as Player;

const automatic = (): boolean | undefined => state.qualityChoices.value.find((each) => each.id === "auto")?.active;

beforeEach(() => state.reset("a-film"));

describe("choices", () => {
  it("are not listed before the first frame", () => {
    const choices = new Choices(() => player);
    choices.refresh();
    expect(state.qualityChoices.value).toEqual([]);
    state.startup_ms.value = 300;
    choices.refresh();
    expect(state.qualityChoices.value.map((each) => each.id)).toEqual(["auto", "720p", "360p"]);
  });

  it("of quality are those of one play", () => {
    const choices = new Choices(() => player);
    state.startup_ms.value = 300;
    choices.pickQuality("720p");
    expect(automatic()).toBe(false);
    choices.reset();
    choices.refresh();
    expect(automatic()).toBe(true);
  });

  it("change nothing while there is no player", () => {
    const choices = new Choices(() => null);
    state.startup_ms.value = 300;
    choices.pickQuality("720p");
    choices.pickAudio("de");
    expect(state.qualityChoices.value).toEqual([]);
  });
});
