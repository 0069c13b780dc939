// What an edge tells its players of its load (CMSD-Dynamic, CTA-5006), as nginx writes it and as Shaka Player reads it.
import { beforeAll, expect, test, vi } from "vitest";

type Manager = { processHeaders(headers: Record<string, string>): void; getMaxBitrate(): number | null; getEstimatedThroughput(): number | null };
let manager: Manager;

beforeAll(async () => {
  // Shaka Player looks for a browser's names as it is loaded; what is tested here needs none of them.
  vi.stubGlobal("self", globalThis);
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("navigator", { userAgent: "", platform: "", vendor: "", maxTouchPoints: 0 });
  vi.stubGlobal("document", { createElement: () => ({ canPlayType: () => "" }), addEventListener: () => undefined });
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
  const { configuration } = await import("../../src/player/shaka");
  const session = { session_id: "0123456789abcdef0123", title_id: "t_film" };
  const { cmsd } = configuration(session, "http://gateway/api/v1/license", { audio: "", text: "" });
  // The build with names: what takes the headers is not part of the other one's surface.
  const debug = (await import("shaka-player/dist/shaka-player.dash.debug.js" as string)) as { default: { util: { CmsdManager: new (config: unknown) => Manager } } };
  manager = new debug.default.util.CmsdManager(cmsd);
});

test("a loaded edge caps its players, and frees them when it is over", () => {
  manager.processHeaders({ "cmsd-dynamic": '"fra-1";etp=3000;mb=2500' });
  expect(manager.getMaxBitrate()).toBe(2_500_000);
  expect(manager.getEstimatedThroughput()).toBe(3_000_000);
  manager.processHeaders({ "cmsd-dynamic": '"fra-1";etp=900;mb=800;du' });
  expect(manager.getMaxBitrate()).toBe(800_000);
  manager.processHeaders({ "cmsd-dynamic": '"fra-1"' });
  expect(manager.getMaxBitrate()).toBeNull();
});
