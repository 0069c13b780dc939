import { describe, expect, it } from "vitest";
import { heightWithin } from "../../src/player/bound";
import { type Ask, decodableLines, LADDER, OPEN_LINES, screenLines, type Seen, toldLines } from "../../src/player/device";

const laptop: Seen = { width: 1920, height: 1080, ratio: 1, inner_width: 1920, outer_width: 1920, extended: false, touched: false };
const screenOf = (change: Partial<Seen>): Seen => ({ ...laptop, ...change });

/** Whether a rendition of so many lines is within what was told, and the next one of a usual ladder is not. */
const best = (lines: number): number => [240, 360, 480, 720, 1080, 1440, 2160].filter((each) => each <= lines).at(-1) ?? 0;

describe("what a screen shows", () => {
  it("is its shorter side in device pixels, however it is turned", () => {
    expect(best(screenLines(laptop))).toBe(1080);
    expect(best(screenLines(screenOf({ width: 1366, height: 768 })))).toBe(720);
    const phone = { width: 412, height: 915, ratio: 2.625, inner_width: 412, outer_width: 412 };
    expect(best(screenLines(screenOf(phone)))).toBe(1080);
    expect(best(screenLines(screenOf({ ...phone, width: 915, height: 412, inner_width: 915, outer_width: 915 })))).toBe(1080);
  });

  it("is not lost where a browser rounds the size of a scaled screen down", () => {
    for (const ratio of [1.1, 1.25, 1.3, 1.5, 1.75, 2.25]) {
      const [width, height] = [Math.floor(3840 / ratio), Math.floor(2160 / ratio)];
      expect(best(screenLines(screenOf({ width, height, ratio, inner_width: width, outer_width: width })))).toBe(2160);
    }
  });

  it("does not shrink with a page that is zoomed out", () => {
    const sharp = { width: 1440, height: 900, outer_width: 1440 };
    expect(best(screenLines(screenOf({ ...sharp, ratio: 2, inner_width: 1440 })))).toBe(1440);
    expect(best(screenLines(screenOf({ ...sharp, ratio: 1, inner_width: 2880 })))).toBe(1440);
  });

  it("is what its ratio says where the window's sizes make no sense", () => {
    expect(best(screenLines(screenOf({ outer_width: 0 })))).toBe(1080);
    expect(best(screenLines(screenOf({ inner_width: 980, outer_width: 100 })))).toBe(1080);
  });
});

describe("what Play is told", () => {
  it("is the screen's, never beyond the decoder's", () => {
    expect(best(toldLines(laptop, OPEN_LINES))).toBe(1080);
    expect(toldLines(laptop, 720)).toBe(720);
  });

  it("is open where the window may go to a screen that is not known", () => {
    expect(toldLines(screenOf({ extended: true }), OPEN_LINES)).toBe(OPEN_LINES);
    expect(toldLines(screenOf({ extended: true }), 1440)).toBe(1440);
    expect(toldLines(screenOf({ extended: undefined }), OPEN_LINES), "a computer's browser that does not tell").toBe(OPEN_LINES);
    expect(best(toldLines(screenOf({ extended: undefined, touched: true }), OPEN_LINES)), "a phone has one screen").toBe(1080);
  });

  it("is open where a screen has no size", () => {
    expect(toldLines(screenOf({ width: 0, height: 0 }), OPEN_LINES)).toBe(OPEN_LINES);
  });
});

describe("what can be decoded", () => {
  const upTo =
    (lines: number, how: { smooth: boolean; powerEfficient: boolean } = { smooth: true, powerEfficient: true }): Ask =>
    ({ height }) =>
      Promise.resolve(height <= lines ? { supported: true, ...how } : { supported: false, smooth: false, powerEfficient: false });

  it("is the best that is supported and kept up with", async () => {
    expect(await decodableLines(LADDER, upTo(9999))).toBe(OPEN_LINES);
    expect(await decodableLines(LADDER, upTo(1440))).toBe(1440);
    expect(await decodableLines(LADDER, upTo(9999, { smooth: false, powerEfficient: true }))).toBe(OPEN_LINES);
  });

  it("is at least the smallest, for a picture that jerks is better than none", async () => {
    expect(await decodableLines(LADDER, upTo(9999, { smooth: false, powerEfficient: false }))).toBe(720);
    expect(await decodableLines(LADDER, upTo(100))).toBe(720);
  });

  it("is open where the browser does not say", async () => {
    expect(await decodableLines(LADDER, () => Promise.resolve(null))).toBe(OPEN_LINES);
    expect(await decodableLines(LADDER, () => Promise.reject(new TypeError("no such codec")))).toBe(OPEN_LINES);
    expect(await decodableLines([], upTo(9999))).toBe(OPEN_LINES);
  });
});

describe("what automatic quality keeps to", () => {
  const wide = [360, 720, 1080, 2160].map((height) => ({ width: (height * 16) / 9, height }));

  it("is the best rendition within the screen", () => {
    expect(heightWithin(wide, 1081)).toBe(1080);
    expect(heightWithin(wide, 769)).toBe(720);
    expect(heightWithin(wide, 2161)).toBe(Infinity);
    expect(heightWithin(wide, 200)).toBe(360);
    expect(heightWithin([], 200)).toBe(Infinity);
  });

  it("counts the shorter side of an upright film", () => {
    const upright = wide.map(({ width, height }) => ({ width: height, height: width }));
    expect(heightWithin(upright, 1081)).toBe(1920);
  });
});
