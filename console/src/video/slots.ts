/** Lets only so many jobs run at a time; the others wait in order. */
export class Slots {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  /** Run a job when there is room; one whose signal is aborted while it waits never runs. */
  async run<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T | null> {
    if (this.#running >= this.limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return signal?.aborted ? null : await job();
    } finally {
      const next = this.#waiting.shift();
      // The room goes to the next one as it is, so that nobody else takes it in between.
      if (next) next();
      else this.#running -= 1;
    }
  }
}
