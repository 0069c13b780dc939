import { describe, expect, it } from "vitest";
import { EdgeMeasures, type Look } from "../../src/player/edges";

const look = (second: number, change: Partial<Look> = {}): Look => ({
  now_ms: 5_000 + 1000 * second,
  position_s: second,
  stalled_s: 0,
  serving: "fra-1",
  asked: "fra-1",
  ...change,
});

describe("what each edge was worth", () => {
  it("is the film shown from it and how fast it was", () => {
    const measures = new EdgeMeasures();
    for (let second = 0; second <= 10; second += 1) measures.look(look(second));
    measures.received("fra-1", 1_000_000, 1_000);
    measures.received("fra-1", 1_000_000, 3_000);
    measures.received("fra-1", 500, 0);
    expect(measures.take()).toEqual([{ edge: "fra-1", watched_s: 10, stalled_s: 0, failures: 0, throughput_bps: 4_000_000 }]);
    expect(measures.take()).toEqual([]);
  });

  it("charges a stall to the edge that was waited for, not to the one that ended it", () => {
    const measures = new EdgeMeasures();
    measures.look(look(0));
    measures.look(look(1, { position_s: 0, stalled_s: 1 }));
    measures.failed("fra-1");
    measures.look(look(2, { position_s: 0, stalled_s: 1.5, asked: "bom-1" }));
    measures.look(look(3, { position_s: 1, stalled_s: 1.5, serving: "bom-1", asked: "bom-1" }));
    expect(measures.take()).toEqual([
      { edge: "fra-1", watched_s: 0, stalled_s: 1, failures: 1, throughput_bps: 0 },
      { edge: "bom-1", watched_s: 1, stalled_s: 0.5, failures: 0, throughput_bps: 0 },
    ]);
  });

  it("is nothing for a pause, and a seek is not a film watched", () => {
    const measures = new EdgeMeasures();
    measures.look(look(0));
    measures.look(look(600, { position_s: 0 }));
    measures.look(look(601, { position_s: 3_000 }));
    measures.look(look(602, { position_s: 10 }));
    expect(measures.take()).toEqual([]);
  });

  it("is nothing before any edge has answered", () => {
    const measures = new EdgeMeasures();
    measures.look(look(0, { serving: "", asked: "" }));
    measures.look(look(1, { serving: "", asked: "", stalled_s: 1 }));
    expect(measures.take()).toEqual([]);
  });

  it("is told again when it did not arrive", () => {
    const measures = new EdgeMeasures();
    measures.look(look(0));
    measures.look(look(4));
    measures.failed("bom-1");
    const taken = measures.take();
    measures.look(look(5));
    measures.giveBack(taken);
    expect(measures.take()).toEqual([
      { edge: "fra-1", watched_s: 5, stalled_s: 0, failures: 0, throughput_bps: 0 },
      { edge: "bom-1", watched_s: 0, stalled_s: 0, failures: 1, throughput_bps: 0 },
    ]);
  });

  it("tells of as many edges as a heartbeat takes", () => {
    const measures = new EdgeMeasures();
    for (let number = 0; number < 50; number += 1) measures.failed(`edge-${number}`);
    expect(measures.take()).toHaveLength(16);
  });
});
