import { expect, it } from "vitest";
import type { Player } from "../../src/player/shaka";
import { captionChoices } from "../../src/player/tracks";

const player = (...tracks: object[]): Player => ({ getTextTracks: () => tracks }) as unknown as Player;

it("calls a language by its name where the film has no better one", () => {
  const tracks = [
    { language: "en", originalLanguage: "en", label: "en", active: true },
    { language: "fr", originalLanguage: "fr", label: "Pour malentendants", active: false },
    { language: "de", originalLanguage: "de", label: null, active: false },
  ];
  expect(captionChoices(player(...tracks)).map((each) => each.label)).toEqual(["Off", "English", "Pour malentendants", "German"]);
});
