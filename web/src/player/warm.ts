// Brings the player before it is needed, so that a click on Play finds everything ready. Light: the home page imports this alone.
import type { ComponentType } from "preact";
import { navigate } from "../state/router";
import { markStarted } from "./state";

type EngineModule = typeof import("./engine");

let engine: Promise<EngineModule> | null = null;
let page: Promise<ComponentType> | null = null;
let ready: EngineModule | null = null;

function loadEngine(): Promise<EngineModule> {
  engine ??= import("./engine").then((module) => (ready = module));
  return engine;
}

export function loadPlayerPage(): Promise<ComponentType> {
  page ??= Promise.all([import("./page"), loadEngine()]).then(([module]) => module.PlayerPage);
  return page;
}

/** Fetches and compiles the player's bundles when the browser has nothing better to do. */
export function warmWhenIdle(): void {
  const idle = globalThis.requestIdleCallback ?? ((then: () => void) => setTimeout(then, 300));
  idle(() => void warm(), { timeout: 3000 });
}

/** Makes the player ready: bundles, video element, decoder questions. No session is asked for: nobody has pressed Play. */
export async function warm(): Promise<void> {
  void loadPlayerPage();
  await (await loadEngine()).engine.warm().catch(() => undefined);
}

/** Play. The engine starts in the same task as the click and the stage covers the page; the page turns when the first frame is
 *  there (or it takes long, or fails), because laying out and painting another page meanwhile would delay that frame. */
export function play(title_id: string, event: Event | null, from_s?: number): void {
  const clicked_at_ms = event?.timeStamp ?? performance.now();
  document.getElementById("stage")?.classList.add("shown");
  markStarted(title_id);
  const start = async ({ engine }: EngineModule): Promise<void> => {
    const begun = engine.start(title_id, clicked_at_ms, from_s);
    await Promise.race([begun, new Promise((done) => setTimeout(done, TURN_AFTER_MS))]);
    navigate(`/watch/${title_id}`);
  };
  if (ready) void start(ready);
  else void loadEngine().then(start);
}

const TURN_AFTER_MS = 600;
