// What each edge was worth to this play, for the heartbeats: film shown while it served, time waited for it, how often it had to be
// left, and how fast it was. Numbers in, numbers out: the clock and the film's position are arguments.
import type { EdgeMeasured } from "../api/types";

/** More edges than any play has; the gateway takes no more in one heartbeat. */
const EDGES_MAX = 16;
/** Between two looks no more than this is shown beyond the time that passed: what is more was a seek. */
const SEEK_S = 0.5;

interface Sum {
  watched_s: number;
  stalled_s: number;
  failures: number;
  bits: number;
  ms: number;
}

export interface Look {
  now_ms: number;
  position_s: number;
  /** Seconds that the film has stood still for want of data, since the play began. */
  stalled_s: number;
  /** The appliance that sent the last segment, and the one that the last request went to: who is waited for. */
  serving: string;
  asked: string;
}

export class EdgeMeasures {
  private sums = new Map<string, Sum>();
  private before: Look | null = null;

  /** What has passed since the look before. */
  look(look: Look): void {
    const { before } = this;
    this.before = look;
    if (!before) return;
    const passed_s = (look.now_ms - before.now_ms) / 1000;
    const shown_s = look.position_s - before.position_s;
    if (look.serving && shown_s > 0 && shown_s < passed_s + SEEK_S) this.sum(look.serving).watched_s += shown_s;
    const stalled_s = look.stalled_s - before.stalled_s;
    const blamed = look.asked || look.serving;
    if (blamed && stalled_s > 0) this.sum(blamed).stalled_s += stalled_s;
  }

  failed(appliance: string): void {
    this.sum(appliance).failures += 1;
  }

  received(appliance: string, bytes: number, took_ms: number): void {
    if (!(bytes > 0) || !(took_ms > 0)) return;
    const sum = this.sum(appliance);
    sum.bits += 8 * bytes;
    sum.ms += took_ms;
  }

  /** Everything since it was last taken. */
  take(): EdgeMeasured[] {
    const found = [...this.sums].slice(0, EDGES_MAX).map(([edge, sum]) => ({
      edge,
      watched_s: round(sum.watched_s),
      stalled_s: round(sum.stalled_s),
      failures: sum.failures,
      throughput_bps: sum.ms > 0 ? Math.round((1000 * sum.bits) / sum.ms) : 0,
    }));
    this.sums = new Map();
    return found;
  }

  /** What was taken did not arrive: it is told with the next. The throughput of an hour ago is of no interest. */
  giveBack(taken: readonly EdgeMeasured[]): void {
    for (const each of taken) {
      const sum = this.sum(each.edge);
      sum.watched_s += each.watched_s;
      sum.stalled_s += each.stalled_s;
      sum.failures += each.failures;
    }
  }

  private sum(appliance: string): Sum {
    let found = this.sums.get(appliance);
    if (!found) this.sums.set(appliance, (found = { watched_s: 0, stalled_s: 0, failures: 0, bits: 0, ms: 0 }));
    return found;
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
