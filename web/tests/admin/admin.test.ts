import { describe, expect, it } from "vitest";
import type { IngestEvent, Progress } from "../../src/api/types";
import { merge } from "../../src/pages/admin/merge";
import { genresFrom, titleFromFile } from "../../src/pages/admin/words";

describe("titleFromFile", () => {
  it.each([
    ["the_long.meadow-2019.1080p.mp4", "The long meadow"],
    ["Regatta.mov", "Regatta"],
    ["été 🌞 2.mkv", "Été 🌞 2"],
    ["2160p.mp4", "2160p.mp4"],
  ])("%s", (file, title) => {
    expect(titleFromFile(file)).toBe(title);
  });
});

it("genres are split at commas, without repeats or blanks", () => {
  expect(genresFrom(" Drama, Sport ,,Drama")).toEqual(["Drama", "Sport"]);
});

describe("merge", () => {
  const line = (item: string, done: number): Progress => ({ stage: "encode", item, done, total: 30, unit: "s", eta_s: null });
  const event = (sequence: number, progress: Progress | null): IngestEvent => ({ sequence, at: 0, kind: "progress", text: "", state: null, progress, error_code: "", hint: "" });

  it("takes the newer of the job's lines and the events, and never goes back", () => {
    const lines = merge([line("240p", 20), line("480p", 5)], [event(1, line("240p", 10)), event(2, line("480p", 9)), event(3, line("720p", 1)), event(4, null)]);
    expect(lines.map((each) => [each.item, each.done])).toEqual([["240p", 20], ["480p", 9], ["720p", 1]]);
  });
});
