// What measurements and tests read: how long from the click to the first frame, how often it stalled, and the player itself.
import type { Session } from "../api/types";
import type { Network } from "./network";
import type { Player } from "./shaka";

export interface Measures {
  /** Set at the first frame, null before it. */
  clickToFrame_ms: number | null;
  startup_ms: number | null;
  stalls: number;
  stalled_s: number;
  player: Player | null;
  session: Session | null;
  network: Network | null;
}

declare global {
  interface Window {
    __nearcast: Measures;
  }
}

window.__nearcast = { clickToFrame_ms: null, startup_ms: null, stalls: 0, stalled_s: 0, player: null, session: null, network: null };

export function measure(change: Partial<Measures>): void {
  Object.assign(window.__nearcast, change);
}
