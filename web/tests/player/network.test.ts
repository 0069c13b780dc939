import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { EdgeChoice, Session } from "../../src/api/types";
import { Network } from "../../src/player/network";

// What Shaka Player adds is not asked for here, and it needs a browser to be loaded.
vi.mock("../../src/player/shaka", () => ({ shaka: {} }));

const edge = (name: string, path: string): EdgeChoice => ({ pathway: name, site: name, appliance: name, base_url: `https://${name}/${path}/` });
const session = (path: string): Session =>
  ({ session_id: path, edges: ["a", "b"].map((name) => edge(name, path)), steering_url: `https://control/${path}/steering` }) as unknown as Session;

interface Asked {
  url: string;
  answer(names: string[]): Promise<void>;
}

/** Every document that was asked for, each answered when a test says so. */
let asked: Asked[];
let network: Network;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  vi.stubGlobal("location", { href: "https://control/" });
  vi.stubGlobal("fetch", (url: URL) => {
    const path = url.pathname.split("/")[1] ?? "";
    return new Promise((resolve) => {
      const answer = async (names: string[]): Promise<void> => {
        const document = { TTL: 10, "SERVICE-LOCATION-PRIORITY": names, "X-NEARCAST-EDGES": names.map((name) => edge(name, path)), "RELOAD-URI": url.href };
        resolve({ ok: true, json: async () => document });
        await vi.advanceTimersByTimeAsync(0);
      };
      asked.push({ url: url.href, answer });
    });
  });
  network = new Network(session("old"), 100, () => 0, () => undefined);
});

afterEach(() => {
  network.end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const bases = (): string[] => network.ranked().map((each) => each.base_url);

it("goes to edges that a document names beside the session's own, in its order", async () => {
  await vi.advanceTimersByTimeAsync(10_000);
  await asked[0]?.answer(["c", "b", "a"]);
  expect(bases()).toEqual(["https://c/old/", "https://b/old/", "https://a/old/"]);
});

it("passes a document by that was asked for before a newer session came", async () => {
  await vi.advanceTimersByTimeAsync(10_000);
  network.adopt(session("new"));
  await asked[0]?.answer(["c", "a", "b"]);
  expect(bases()).toEqual(["https://a/new/", "https://b/new/"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toHaveLength(2);
  expect(asked[1]?.url).toMatch("https://control/new/steering");
  await asked[1]?.answer(["c", "a", "b"]);
  expect(bases()).toEqual(["https://c/new/", "https://a/new/", "https://b/new/"]);
});

it("keeps each address once, however many documents and sessions name it", async () => {
  for (let number = 0; number < 50; number += 1) {
    await vi.advanceTimersByTimeAsync(10_000);
    await asked[number]?.answer(["c", "b", "a"]);
    network.adopt(session("old"));
  }
  expect(asked).toHaveLength(50);
  const { known } = network as unknown as { known: EdgeChoice[] };
  expect(known.map((each) => each.base_url).sort()).toEqual(["https://a/old/", "https://b/old/", "https://c/old/"]);
});

it("asks for nothing once it has ended, whatever is under way", async () => {
  await vi.advanceTimersByTimeAsync(10_000);
  network.end();
  await asked[0]?.answer(["c", "a", "b"]);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(bases()).toEqual(["https://a/old/", "https://b/old/"]);
  expect(asked).toHaveLength(1);
});
