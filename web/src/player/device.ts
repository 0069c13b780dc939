// What this device can show, told with each Play: the control plane offers no rendition, and hands out no key, beyond it.
//
// The screen bounds it by its shorter side in device pixels, which is how renditions are counted, so that a phone may be turned. A
// session lasts longer than a window stays on a screen: where another may be there (`screen.isExtended` of the Window Management
// API says so, or a computer's browser says nothing) Play is told no bound, and the choice of renditions alone keeps to the screen
// that the film is on (bound.ts). What the decoder keeps up with is asked of Media Capabilities.

/** No bound. The most that the control plane offers to anybody. */
export const OPEN_LINES = 4320;
/** A zoom that a browser may be set to; what seems more is something else (a phone that shows a computer's page). */
const ZOOM_MAX = 5;

export interface Seen {
  /** CSS pixels. */
  width: number;
  height: number;
  /** Device pixels in a CSS pixel. */
  ratio: number;
  /** The window within and without its frame, in CSS pixels: zoomed, the first changes and the second does not. */
  inner_width: number;
  outer_width: number;
  /** Whether there is a second screen; undefined where the browser does not tell. */
  extended: boolean | undefined;
  /** Fingers rather than a mouse: a device that is its own screen. */
  touched: boolean;
}

/** Lines of the screen, one CSS pixel's worth generous, as browsers round sizes down: 1080 / 1.3 is 830, and 830 × 1.3 is 1079. */
export function screenLines({ width, height, ratio, inner_width, outer_width }: Seen): number {
  // A page that is zoomed out has a smaller ratio than its screen: the window's own size tells the true one.
  const zoomed = outer_width > 0 ? (inner_width * ratio) / outer_width : 0;
  const scale = Math.max(ratio || 1, zoomed <= ZOOM_MAX ? zoomed : 0);
  return Math.ceil((Math.min(width, height) + 1) * scale);
}

/** What Play is told: of the screen, unless the film may move to one that is not known, and never beyond what can be decoded. */
export function toldLines(seen: Seen, decodable_lines: number): number {
  const alone = seen.extended === false || (seen.extended === undefined && seen.touched);
  const known = Math.min(seen.width, seen.height) > 0;
  return Math.max(1, Math.min(alone && known ? screenLines(seen) : OPEN_LINES, decodable_lines));
}

export interface Rung {
  codec: string;
  width: number;
  height: number;
  bitrate_bps: number;
  frame_rate: number;
}

/** Asks Media Capabilities of one rendition; null where the browser does not say. */
export type Ask = (rung: Rung) => Promise<{ supported: boolean; smooth: boolean; powerEfficient: boolean } | null>;

export const shorter = (each: { width: number; height: number }): number => Math.min(each.width, each.height);

/** Of `rungs`, the lines of the best that this device keeps up with; OPEN_LINES where none is beyond it. Of the smallest nothing is
 *  asked: it is always offered, and better than no picture. */
export async function decodableLines(rungs: readonly Rung[], ask: Ask): Promise<number> {
  const highest = [...rungs].sort((a, b) => shorter(b) - shorter(a));
  for (const [index, rung] of highest.entries()) {
    const last = index === highest.length - 1;
    const found = last ? null : await ask(rung).catch(() => null);
    if (last || !found || (found.supported && (found.smooth || found.powerEfficient))) return index === 0 ? OPEN_LINES : shorter(rung);
  }
  return OPEN_LINES;
}

/** Of every height that a ladder may have, what our encoder writes for it: H.264, High profile. */
export const LADDER: readonly Rung[] = [
  { codec: "avc1.640034", width: 3840, height: 2160, bitrate_bps: 16e6, frame_rate: 30 },
  { codec: "avc1.640033", width: 2560, height: 1440, bitrate_bps: 9e6, frame_rate: 30 },
  { codec: "avc1.640028", width: 1920, height: 1080, bitrate_bps: 5e6, frame_rate: 30 },
  { codec: "avc1.64001f", width: 1280, height: 720, bitrate_bps: 3e6, frame_rate: 30 },
];

export const askBrowser: Ask = async ({ codec, width, height, bitrate_bps, frame_rate }) => {
  if (!navigator.mediaCapabilities) return null;
  const video = { contentType: `video/mp4; codecs="${codec}"`, width, height, bitrate: bitrate_bps, framerate: frame_rate };
  return navigator.mediaCapabilities.decodingInfo({ type: "media-source", video });
};

export function seen(): Seen {
  return {
    width: screen.width,
    height: screen.height,
    ratio: devicePixelRatio,
    inner_width: innerWidth,
    outer_width: outerWidth,
    extended: (screen as Screen & { isExtended?: boolean }).isExtended,
    touched: matchMedia("(pointer: coarse)").matches,
  };
}

let decodable_lines = OPEN_LINES;

/** Asks what can be decoded; once, before anyone presses Play. */
export async function rehearseDecoding(): Promise<void> {
  decodable_lines = await decodableLines(LADDER, askBrowser);
}

/** What Play is told now. */
export function deviceLines(): number {
  return toldLines(seen(), decodable_lines);
}
