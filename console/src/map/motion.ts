/** Where units are drawn between two fixes: one second behind, so that they glide instead of jumping. */
import type { Fix } from "../store/store";

const GLIDE_MS = 1_100;
/** Farther than this a unit is set, not moved: it was out of contact. */
const JUMP_DEG = 0.02;

interface Glide {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly start_ms: number;
  readonly fix: Fix;
}

export class Motion {
  readonly #glides = new Map<string, Glide>();

  /** Take the newest fixes; those already known do nothing. */
  take(fixes: ReadonlyMap<string, Fix>, now_ms: number): void {
    for (const [id, fix] of fixes) {
      const glide = this.#glides.get(id);
      if (glide?.fix === fix) continue;
      const to: [number, number] = [fix.lon, fix.lat];
      const shown = glide ? at(glide, now_ms) : to;
      const far = Math.abs(shown[0] - to[0]) > JUMP_DEG || Math.abs(shown[1] - to[1]) > JUMP_DEG;
      this.#glides.set(id, { from: far ? to : shown, to, start_ms: now_ms, fix });
    }
    for (const id of this.#glides.keys()) if (!fixes.has(id)) this.#glides.delete(id);
  }

  /** Where to draw a unit now. */
  position(id: string, now_ms: number): readonly [number, number] | undefined {
    const glide = this.#glides.get(id);
    return glide ? at(glide, now_ms) : undefined;
  }
}

function at(glide: Glide, now_ms: number): readonly [number, number] {
  const share = Math.min(1, Math.max(0, (now_ms - glide.start_ms) / GLIDE_MS));
  return [
    glide.from[0] + (glide.to[0] - glide.from[0]) * share,
    glide.from[1] + (glide.to[1] - glide.from[1]) * share,
  ];
}
