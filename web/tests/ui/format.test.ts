import { describe, expect, it } from "vitest";
import { bitrate, bytes, clock, counted, display, language, quality, resumable, runtime, watched } from "../../src/ui/format";
import { sentence } from "../../src/ui/problem";

describe("numbers as people read them", () => {
  it.each([[0, ""], [31.2, "31 s"], [600, "10 min"], [5_400, "1 h 30 min"], [3_599, "1 h 0 min"]])("runtime of %d s", (seconds, text) => {
    expect(runtime(seconds)).toBe(text);
  });

  it.each([[0, "0 titles"], [1, "1 title"], [2_000, "2,000 titles"]])("%d of them", (count, text) => {
    expect(counted(count, "title")).toBe(text);
  });

  it.each([[0, "0:00"], [9.9, "0:09"], [61, "1:01"], [3_661, "1:01:01"], [-3, "0:00"], [Number.NaN, "0:00"]])("clock at %d s", (seconds, text) => {
    expect(clock(seconds)).toBe(text);
  });

  it("rates and sizes", () => {
    expect([0, 640_000, 4_500_000, 25_000_000].map(bitrate)).toEqual(["–", "640 kb/s", "4.5 Mb/s", "25 Mb/s"]);
    expect([12, 1_500, 2_000_000_000].map(bytes)).toEqual(["12 B", "1.5 kB", "2.0 GB"]);
  });

  it("languages and heights", () => {
    expect([language("fr"), language("und"), language("xx-invalid-tag-!")]).toEqual(["French", "Original", "xx-invalid-tag-!"]);
    expect([quality(0), quality(720), quality(2160)]).toEqual(["", "720p", "4K"]);
  });
});

describe("what can be resumed", () => {
  it("is what was begun and is not as good as over", () => {
    expect([null, 0, 0.5, 30, 99].map((position_s) => resumable(position_s, 100))).toEqual([false, false, false, true, false]);
  });

  it("never shows more than all of it", () => {
    expect([watched(50, 100), watched(150, 100), watched(50, 0), watched(null, 100)]).toEqual([0.5, 1, 0, 0]);
  });
});

it("problems become sentences", () => {
  expect([sentence("no edge answers"), sentence("Why?"), sentence("")]).toEqual(["No edge answers.", "Why?", ""]);
});

it("writes long names of films in smaller letters", () => {
  expect(display("Night Train")).toBe("display");
  expect(display("The Lighthouse Keeper and Everyone She Ever Met")).toBe("display long");
});
