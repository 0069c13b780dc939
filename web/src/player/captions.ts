// How captions look: their size is Shaka Player's to set, their ground is a style of the stage.
import { preferences } from "./memory";
import type { Player } from "./shaka";

export function dressCaptions(player: Player | null): void {
  const { caption_size, caption_ground } = preferences();
  player?.configure({ textDisplayer: { fontScaleFactor: caption_size } });
  const stage = document.getElementById("stage");
  if (stage) stage.dataset["captions"] = caption_ground;
}
