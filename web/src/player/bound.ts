// While a film plays: automatic quality keeps to what the screen that it is on can show, and to what the decoder keeps up with. The
// window may be dragged to another screen, and a page may be zoomed: it is looked at again twice a second, which costs next to nothing.
import { askBrowser, decodableLines, OPEN_LINES, screenLines, seen, shorter } from "./device";
import type { Player } from "./shaka";

type Picture = { width: number; height: number };

/** The height that renditions of at most so many lines have: of an upright film that is its longer side. Where all are beyond it,
 *  that of the smallest. Infinity: there is nothing to leave out. */
export function heightWithin(pictures: readonly Picture[], lines: number): number {
  const fitting = pictures.filter((each) => shorter(each) <= lines);
  if (fitting.length === pictures.length) return Infinity;
  if (fitting.length === 0) return Math.min(...pictures.map((each) => each.height));
  return Math.max(...fitting.map((each) => each.height));
}

export class Bound {
  private decodable_lines = OPEN_LINES;
  private kept_to = 0;

  /** Of a film that was just loaded: asks what of it can be decoded well. */
  async measure(player: Player): Promise<void> {
    this.kept_to = 0;
    this.decodable_lines = OPEN_LINES;
    const tracks = player.getVideoTracks();
    const rungs = tracks.map((each) => ({
      codec: each.codecs ?? "",
      width: each.width ?? 0,
      height: each.height ?? 0,
      bitrate_bps: each.bandwidth,
      frame_rate: each.frameRate ?? 30,
    }));
    this.decodable_lines = await decodableLines(rungs, askBrowser);
  }

  look(player: Player): void {
    const lines = Math.min(screenLines(seen()), this.decodable_lines);
    if (lines === this.kept_to) return;
    this.kept_to = lines;
    const pictures = player.getVideoTracks().map((each) => ({ width: each.width ?? 0, height: each.height ?? 0 }));
    player.configure({ abr: { restrictions: { maxHeight: heightWithin(pictures, lines) } } });
  }
}
