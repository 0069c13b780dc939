// Progress as two sources tell it: the job itself, and the events since.
import type { IngestEvent, Progress } from "../../api/types";

/** The job's own lines, brought up to date by events that may be newer. */
export function merge(lines: readonly Progress[], events: readonly IngestEvent[]): Progress[] {
  const merged = new Map(lines.map((line) => [`${line.stage}/${line.item}`, line]));
  for (const { progress } of events) {
    if (!progress) continue;
    const known = merged.get(`${progress.stage}/${progress.item}`);
    if (!known || progress.done >= known.done) merged.set(`${progress.stage}/${progress.item}`, progress);
  }
  return [...merged.values()];
}
