/** A look at a camera's recordings: pieces of film and single pictures, under one token that is renewed. */
import type { CameraApi, Still } from "../api/cameras";
import { ApiError } from "../api/http";
import type { Ground } from "../model/camera";
import { type Chunk, readChunk } from "./chunk";

/** A token that was not used for so long may be over (15 min); then one more is asked for. */
const MAYBE_OVER_MS = 300_000;

type Ways = Pick<CameraApi, "playback" | "chunk" | "frame">;

export class Recording {
  #token: Promise<string> | null = null;
  #used_ms = 0;

  constructor(
    private readonly api: Ways,
    readonly camera_id: string,
    readonly ground: Ground,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async chunk(at: string, speed: number, signal?: AbortSignal): Promise<Chunk> {
    return readChunk(await this.#with((token) => this.api.chunk(token, at, speed, signal)));
  }

  /** One picture; `step` 1 is the next picture after the moment, -1 the one before. */
  frame(at: string, step: number, signal?: AbortSignal): Promise<Still> {
    return this.#with((token) => this.api.frame(token, at, step, signal));
  }

  async #with<T>(ask: (token: string) => Promise<T>): Promise<T> {
    const idle_ms = this.now() - this.#used_ms;
    const known = this.#token !== null;
    try {
      return await this.#asked(ask);
    } catch (error) {
      const over = known && idle_ms > MAYBE_OVER_MS && error instanceof ApiError && error.status === 404;
      if (!over) throw error;
      this.#token = null;
      return this.#asked(ask);
    }
  }

  async #asked<T>(ask: (token: string) => Promise<T>): Promise<T> {
    this.#token ??= this.api.playback(this.camera_id, this.ground).then((answer) => answer.token);
    let token: string;
    try {
      token = await this.#token;
    } catch (error) {
      this.#token = null;
      throw error;
    }
    this.#used_ms = this.now();
    return ask(token);
  }
}
