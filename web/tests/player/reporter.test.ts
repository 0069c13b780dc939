import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Heartbeat } from "../../src/api/types";
import { EdgeMeasures } from "../../src/player/edges";
import { Reporter } from "../../src/player/reporter";

const sent: Heartbeat[] = [];
let status = 204;

beforeEach(() => {
  sent.length = 0;
  status = 204;
  vi.stubGlobal("document", { addEventListener: () => undefined, removeEventListener: () => undefined });
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.stubGlobal("fetch", async (_path: string, init: RequestInit) => {
    sent.push(JSON.parse(String(init.body)) as Heartbeat);
    return new Response(status === 204 ? null : "{}", { status });
  });
});

afterEach(() => vi.unstubAllGlobals());

const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

it("tells what edges did once, and again when it did not arrive", async () => {
  const measures = new EdgeMeasures();
  const look = (): Heartbeat => ({ edges: measures.take(), state: "playing" }) as unknown as Heartbeat;
  const reporter = new Reporter(1_000, () => "session", look, (heartbeat) => measures.giveBack(heartbeat.edges));
  const failures = (): (number | undefined)[] => sent.map((each) => each.edges[0]?.failures);
  measures.failed("fra-1");
  status = 503;
  reporter.beat();
  await settled();
  measures.failed("fra-1");
  status = 204;
  reporter.beat();
  await settled();
  reporter.end("failed");
  await settled();
  expect(failures()).toEqual([1, 2, undefined]);
  expect(sent.at(-1)?.state).toBe("failed");
});
