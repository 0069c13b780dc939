// Which edge the next request goes to, and how long it may stay silent. Pure: time and knowledge are arguments.
//
// The control plane names the edges, best first; steering documents may reorder them; an edge that failed this very player is
// left at once and tried again after a pause that doubles with each failure (10 s … 160 s), as outlier ejection does it in Envoy.
import type { EdgeChoice } from "../api/types";

export interface Health {
  failures: number;
  failed_at_ms: number;
}

const PAUSE_MS = 10_000;
const PAUSE_MAX_MS = 160_000;

export function sickUntil(health: Health | undefined): number {
  if (!health || health.failures === 0) return 0;
  return health.failed_at_ms + Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** (health.failures - 1));
}

/** All edges, best first: well before sick, then as steering says, then as the session said; among the sick, soonest well first. */
export function rank(
  edges: readonly EdgeChoice[],
  health: ReadonlyMap<string, Health>,
  steering: readonly string[],
  now_ms: number,
): EdgeChoice[] {
  const place = (edge: EdgeChoice): number => {
    const told = steering.indexOf(edge.pathway);
    return told < 0 ? steering.length + edges.indexOf(edge) : told;
  };
  const pause = (edge: EdgeChoice): number => Math.max(0, sickUntil(health.get(edge.pathway)) - now_ms);
  return [...edges].sort((a, b) => pause(a) - pause(b) || place(a) - place(b));
}

/** The edges of a session as a steering document knows them now (an appliance may have moved), and after them those that it names
 *  beside: they serve the same files at addresses of their own. */
export function told(edges: readonly EdgeChoice[], named: readonly EdgeChoice[]): EdgeChoice[] {
  const newer = (edge: EdgeChoice): EdgeChoice => {
    const found = named.find((each) => each.pathway === edge.pathway);
    return found && found.base_url !== edge.base_url ? found : edge;
  };
  return [...edges.map(newer), ...named.filter((each) => !edges.some((edge) => edge.pathway === each.pathway))];
}

export function afterFailure(health: Health | undefined, now_ms: number): Health {
  // Requests run in parallel: the same outage fails several of them, which counts once.
  if (health && now_ms - health.failed_at_ms < 3_000) return health;
  return { failures: Math.min(8, (health?.failures ?? 0) + 1), failed_at_ms: now_ms };
}

const FIRST_MIN_MS = 400;
/** An edge is nearer than the control plane, as a rule, but DNS, TCP and TLS may each cost a way there and back. */
const ROUND_TRIPS = 4;

/** Time without a first byte, and between bytes, after which a request moves on.
 *  Short for the first round over the edges; longer for each further round, so that a slow line is not mistaken for dead edges, but
 *  never so long before a film has `begun` that edges of a new session would not be tried before the viewer is told (giveup.ts).
 *  Before the first byte nothing is buffered and nothing else is on the line: there the first round is as quick as the control plane's
 *  answer to Play (`answered_ms`) lets one expect. */
export function patience(attempt: number, edges: number, begun: boolean, answered_ms: number): { connection_ms: number; stall_ms: number } {
  const round = Math.floor(attempt / Math.max(1, edges));
  const factor = Math.min(begun ? 8 : 3, 3 ** round);
  const first_ms = Math.min(1_000, Math.max(FIRST_MIN_MS, ROUND_TRIPS * answered_ms));
  return { connection_ms: begun || round > 0 ? 1_000 * factor : first_ms, stall_ms: 1_500 * factor };
}

/** The edge that an address belongs to, and what follows its base. */
export function locate(uri: string, edges: readonly EdgeChoice[]): { edge: EdgeChoice; rest: string } | null {
  for (const edge of edges) {
    if (uri.startsWith(edge.base_url)) return { edge, rest: uri.slice(edge.base_url.length) };
  }
  return null;
}
