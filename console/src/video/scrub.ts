/** Pictures while the hand moves over the strip: one request at a time, the newest wish wins. */
import type { Still } from "../api/cameras";

/** Each picture is decoded and masked on the server, so a fast hand gets at most this many a second: 8. */
const EACH_MS = 125;

export class Scrubber {
  #wish_ms: number | null = null;
  #busy = false;
  #stopped = false;
  #last_ms = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly frame: (at_ms: number) => Promise<Still>,
    private readonly show: (still: Still, asked_ms: number) => void,
    private readonly fail: (error: unknown) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  ask(at_ms: number): void {
    this.#wish_ms = at_ms;
    if (!this.#busy) void this.#work();
  }

  stop(): void {
    this.#stopped = true;
    this.#wish_ms = null;
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#wish_ms !== null && !this.#stopped) {
      const rest_ms = this.#last_ms + EACH_MS - this.now();
      if (rest_ms > 0) await new Promise((resolve) => setTimeout(resolve, rest_ms));
      const at_ms: number | null = this.#wish_ms;
      if (at_ms === null || this.#stopped) break;
      this.#wish_ms = null;
      this.#last_ms = this.now();
      try {
        const still = await this.frame(at_ms);
        if (!this.#stopped) this.show(still, at_ms);
      } catch (error) {
        if (!this.#stopped) this.fail(error);
      }
    }
    this.#busy = false;
  }
}
