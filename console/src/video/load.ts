/** Whether this machine can follow the live pictures it shows, by the pictures it had to leave out. */

/** A machine with few processors shows at most nine live (also the most that one person can watch). */
export const LIVE_MOST_WEAK = 9;
export const LIVE_MOST = 16;
const FEW_PROCESSORS = 4;

/** More than this share of pictures left out, looked at over enough of them, is "behind". */
const DROPPED_SHARE = 0.25;
const ENOUGH = 15;
const TIMES = 3;

export function liveMost(processors: number | undefined): number {
  return (processors ?? FEW_PROCESSORS) <= FEW_PROCESSORS ? LIVE_MOST_WEAK : LIVE_MOST;
}

export interface Drawn {
  readonly dropped: number;
  readonly total: number;
}

/** Judges all live pictures together; `behind` is true once it was so several times in a row. */
export class Load {
  readonly #before = new Map<string, Drawn>();
  #bad = 0;

  /** Take the counters of all that is live now; return whether the machine can't follow. */
  judge(now: ReadonlyMap<string, Drawn>): boolean {
    let dropped = 0;
    let total = 0;
    for (const [id, drawn] of now) {
      const before = this.#before.get(id);
      if (before && drawn.total >= before.total) {
        dropped += drawn.dropped - before.dropped;
        total += drawn.total - before.total;
      }
      this.#before.set(id, drawn);
    }
    for (const id of this.#before.keys()) if (!now.has(id)) this.#before.delete(id);
    if (total < ENOUGH) return false;
    this.#bad = dropped / total > DROPPED_SHARE ? this.#bad + 1 : 0;
    if (this.#bad < TIMES) return false;
    this.#bad = 0;
    return true;
  }
}
