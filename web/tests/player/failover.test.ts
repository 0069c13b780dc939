import { describe, expect, it } from "vitest";
import type { EdgeChoice } from "../../src/api/types";
import { afterFailure, type Health, locate, patience, rank, sickUntil, told } from "../../src/player/failover";

const edge = (pathway: string): EdgeChoice => ({ pathway, site: pathway, appliance: pathway, base_url: `http://${pathway}/v1/mac/9/t_x/` });
const edges = [edge("fra"), edge("bom"), edge("sin")];
const names = (found: EdgeChoice[]): string[] => found.map((each) => each.pathway);
const sick = (failures: number, failed_at_ms: number): Health => ({ failures, failed_at_ms });

describe("what a steering document told", () => {
  it("comes after the session's edges, which stay whether it names them or not", () => {
    expect(names(told(edges, [edge("bom"), edge("dal")]))).toEqual(["fra", "bom", "sin", "dal"]);
    expect(told(edges, [])).toEqual(edges);
  });

  it("is where an edge of the session is now", () => {
    const moved = { ...edge("bom"), base_url: "http://elsewhere/v1/mac/9/t_x/" };
    expect(told(edges, [moved])).toEqual([edge("fra"), moved, edge("sin")]);
  });

  it("is gone to when every edge of the session is sick", () => {
    const health = new Map(edges.map((each) => [each.pathway, sick(1, 1_000)] as const));
    expect(rank(told(edges, [edge("dal")]), health, ["fra", "dal"], 2_000)[0]?.pathway).toBe("dal");
  });
});

describe("rank", () => {
  it("keeps the session's order when nothing else is known", () => {
    expect(names(rank(edges, new Map(), [], 0))).toEqual(["fra", "bom", "sin"]);
  });

  it("follows steering, and keeps what steering does not name at the end in the session's order", () => {
    expect(names(rank(edges, new Map(), ["sin"], 0))).toEqual(["sin", "fra", "bom"]);
    expect(names(rank(edges, new Map(), ["sin", "bom", "fra"], 0))).toEqual(["sin", "bom", "fra"]);
  });

  it("puts a sick edge last whatever steering says, until its pause is over", () => {
    const health = new Map([["fra", sick(1, 1_000)]]);
    expect(names(rank(edges, health, ["fra"], 2_000))).toEqual(["bom", "sin", "fra"]);
    expect(names(rank(edges, health, ["fra"], 11_000))).toEqual(["fra", "bom", "sin"]);
  });

  it("among sick edges prefers the one that is well again soonest", () => {
    const health = new Map([["fra", sick(3, 0)], ["bom", sick(1, 0)], ["sin", sick(2, 0)]]);
    expect(names(rank(edges, health, [], 100))).toEqual(["bom", "sin", "fra"]);
  });

  it("never loses an edge", () => {
    const health = new Map(edges.map((each) => [each.pathway, sick(9, 0)]));
    expect(rank(edges, health, ["elsewhere"], 1)).toHaveLength(3);
  });
});

describe("afterFailure", () => {
  it("doubles the pause with each failure, up to a bound", () => {
    let health: Health | undefined;
    const pauses: number[] = [];
    for (let at_ms = 0; at_ms < 7; at_ms += 1) {
      health = afterFailure(health, at_ms * 1e6);
      pauses.push(sickUntil(health) - at_ms * 1e6);
    }
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 160_000, 160_000]);
  });

  it("counts requests that failed together once", () => {
    const first = afterFailure(undefined, 1_000);
    expect(afterFailure(first, 1_500)).toBe(first);
    expect(afterFailure(first, 5_000).failures).toBe(2);
  });
});

describe("patience", () => {
  const connections = (begun: boolean, answered_ms: number, ...attempts: number[]): number[] =>
    attempts.map((attempt) => patience(attempt, 3, begun, answered_ms).connection_ms);

  it("leaves each edge of the first round within about a second, and waits longer in later rounds", () => {
    expect(connections(true, 50, 0, 1, 2, 3, 6)).toEqual([1_000, 1_000, 1_000, 3_000, 8_000]);
    expect(patience(100, 3, true, 50)).toEqual({ connection_ms: 8_000, stall_ms: 12_000 });
  });

  it("stays short until a film has begun, so that every edge is tried before the viewer is told", () => {
    expect(connections(false, 1_000, 0, 3, 6, 100)).toEqual([1_000, 3_000, 3_000, 3_000]);
  });

  it("is shortest at the start of a play, where nothing is buffered, but never shorter than the way is long", () => {
    expect(connections(false, 20, 0, 2, 3)).toEqual([400, 400, 3_000]);
    expect(connections(false, 150, 0)).toEqual([600]);
    expect(connections(false, 5_000, 0)).toEqual([1_000]);
  });

  it("bears a session without edges", () => {
    expect(patience(0, 0, true, 50).connection_ms).toBe(1_000);
  });
});

describe("locate", () => {
  it("splits an address into its edge and what follows, query and all", () => {
    expect(locate("http://bom/v1/mac/9/t_x/abc.mp4?CMCD=bl", edges)).toEqual({ edge: edges[1], rest: "abc.mp4?CMCD=bl" });
  });

  it("does not know strangers", () => {
    expect(locate("http://fra/v1/mac/9/t_other/abc.mp4", edges)).toBeNull();
  });
});
