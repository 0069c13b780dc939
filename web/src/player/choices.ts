// What a play offers to choose from, as the menus show it, and what picking does.
import { keep } from "./memory";
import type { Player } from "./shaka";
import * as state from "./state";
import * as tracks from "./tracks";

export class Choices {
  private automatic = true;

  constructor(private readonly player: () => Player | null) {}

  /** The quality that was picked in one play is not the next one's. */
  reset(): void {
    this.automatic = true;
  }

  pickAudio(id: string): void {
    const player = this.player();
    if (player) tracks.chooseAudio(player, id);
    this.refresh();
  }

  pickCaption(id: string): void {
    const player = this.player();
    if (player) tracks.chooseCaption(player, id);
    keep({ captions: id });
    this.refresh();
  }

  pickQuality(id: string): void {
    const player = this.player();
    if (player) this.automatic = tracks.chooseQuality(player, id);
    this.refresh();
  }

  refresh(): void {
    const player = this.player();
    // Before the first frame nobody can choose, and every millisecond counts.
    if (!player || state.startup_ms.value === null) return;
    state.audioChoices.value = tracks.audioChoices(player);
    state.captionChoices.value = tracks.captionChoices(player);
    state.qualityChoices.value = tracks.qualityChoices(player, this.automatic);
  }
}
