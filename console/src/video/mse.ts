/** Film on a video element by Media Source Extensions: pieces stand one behind the other, whatever their times. */
import type { Screen } from "./playback";

/** The film cannot be decoded here; the server's masked film always can. */
export class Unplayable extends Error {}

export class MseScreen implements Screen {
  readonly #source = new MediaSource();
  readonly #opened: Promise<void>;
  #buffer: SourceBuffer | null = null;
  #mime = "";
  #edge_s = 0;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(private readonly video: HTMLVideoElement) {
    const url = URL.createObjectURL(this.#source);
    this.#opened = new Promise((resolve) => {
      this.#source.onsourceopen = () => {
        URL.revokeObjectURL(url);
        resolve();
      };
    });
    video.src = url;
  }

  get now_s(): number {
    return this.video.currentTime;
  }

  append(mime: string, film: Uint8Array<ArrayBuffer>): Promise<{ start_s: number; end_s: number }> {
    return this.#inTurn(() => this.#append(mime, film));
  }

  go(at_s: number): void {
    this.video.currentTime = at_s;
  }

  play(rate: number): void {
    this.video.playbackRate = rate;
    if (this.video.paused) this.video.play().catch(() => undefined);
  }

  pause(): void {
    this.video.pause();
  }

  forget(before_s: number): Promise<void> {
    return this.#inTurn(async () => {
      const buffer = this.#buffer;
      if (!buffer || before_s <= 0 || buffer.buffered.length === 0 || buffer.buffered.start(0) >= before_s)
        return;
      buffer.remove(0, before_s);
      await settled(buffer);
    }).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }

  async #append(mime: string, film: Uint8Array<ArrayBuffer>): Promise<{ start_s: number; end_s: number }> {
    await this.#opened;
    if (this.#closed) throw new Unplayable("closed");
    const buffer = this.#bufferFor(mime);
    const start_s = this.#edge_s;
    buffer.abort();
    // In sequence mode the offset is where the next group of pictures begins.
    buffer.timestampOffset = start_s;
    buffer.appendBuffer(film);
    await settled(buffer);
    const ranges = buffer.buffered;
    const end_s = ranges.length > 0 ? ranges.end(ranges.length - 1) : start_s;
    if (end_s <= start_s) throw new Unplayable(mime);
    this.#edge_s = end_s;
    return { start_s, end_s };
  }

  #bufferFor(mime: string): SourceBuffer {
    if (!MediaSource.isTypeSupported(mime)) throw new Unplayable(mime);
    if (!this.#buffer) {
      this.#buffer = this.#source.addSourceBuffer(mime);
      this.#buffer.mode = "sequence";
    } else if (mime !== this.#mime) {
      this.#buffer.changeType(mime);
      this.#buffer.mode = "sequence";
    }
    this.#mime = mime;
    return this.#buffer;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#last.then(run, run);
    this.#last = next.catch(() => undefined);
    return next;
  }
}

function settled(buffer: SourceBuffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (failed: boolean) => (): void => {
      buffer.removeEventListener("updateend", ended);
      buffer.removeEventListener("error", broke);
      if (failed) reject(new Unplayable("the film is damaged"));
      else resolve();
    };
    const ended = done(false);
    const broke = done(true);
    buffer.addEventListener("updateend", ended);
    buffer.addEventListener("error", broke);
  });
}
