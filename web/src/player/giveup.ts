// When the player stops hoping. Pure: what is seen twice a second goes in, a verdict comes out.
//
// A viewer who waits is told the truth in a bounded time: GIVE_UP_MS without a byte from any edge, once every edge has been tried.
// Edges that a new session named at the last moment get their turn first, until UTMOST_MS. Who still has film ahead does not wait:
// in mid-film the verdict comes after the buffer has run empty, and in a paused film with something to show it never comes.
// The figures fit `patience` of failover.ts: two rounds over three silent edges take 3 × 1 s at most and 3 × 3 s; where steering
// named more, one round over all of them and a new session's edges have had their turn.

export const GIVE_UP_MS = 12_000;
export const UTMOST_MS = 20_000;
/** Less than this ahead of the playhead is as good as nothing. */
export const NO_DATA_S = 0.3;
/** Who did not look for so long was asleep (a closed laptop, a tab in the background): that time was nobody's failure. */
const ASLEEP_MS = 5_000;

export interface Seen {
  now_ms: number;
  /** The film has not begun, or stands still for want of data. */
  waiting: boolean;
  /** Film bytes that have come so far, from any edge. */
  bytes: number;
  ahead_s: number;
  /** Edges that nothing was asked of since the last byte. */
  untried: number;
}

/** Since when the viewer has waited without a byte, as far as it was looked at. */
export interface Wait {
  since_ms: number;
  looked_ms: number;
  bytes: number;
}

/** The wait after one more look; null: nobody waits. A byte begins it anew. */
export function waited(wait: Wait | null, seen: Seen): Wait | null {
  if (!seen.waiting || seen.ahead_s > NO_DATA_S) return null;
  const goesOn = wait && seen.bytes === wait.bytes && seen.now_ms - wait.looked_ms < ASLEEP_MS;
  return { since_ms: goesOn ? wait.since_ms : seen.now_ms, looked_ms: seen.now_ms, bytes: seen.bytes };
}

export function givesUp(wait: Wait | null, untried: number): boolean {
  if (!wait) return false;
  return wait.looked_ms - wait.since_ms >= (untried > 0 ? UTMOST_MS : GIVE_UP_MS);
}
