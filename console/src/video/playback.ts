/**
 * Plays a recording: fetches pieces of film, hands them to a screen one behind the other, knows which moment
 * of the wall clock is on the screen, and goes on over gaps.
 *
 * The screen's own time runs without holes; `Piece` maps it to the wall clock, so gaps cost no time and the
 * rate follows from both lengths.
 */
import type { Gap } from "../model/camera";
import type { Chunk } from "./chunk";

export const SPEEDS = [1, 2, 4, 8, 16] as const;
export type Speed = (typeof SPEEDS)[number];

/** Browsers refuse faster. */
const RATE_MOST = 16;
const TICK_MS = 100;
/** This much film stays behind the moment, to step back without asking again. */
const KEEP_S = 30;
const GAP_SHOWN_MS = 2_500;
/** At the end of what is recorded, look again this often: a camera goes on recording. */
const AGAIN_MS = 2_000;
const NEARLY_END_S = 0.05;

/** Where film is shown: Media Source Extensions, or a fake one in tests. */
export interface Screen {
  /** Where the screen stands, in its own seconds. */
  readonly now_s: number;
  /** Put film behind what is there; resolves with the screen's seconds that it fills. */
  append(mime: string, film: Uint8Array<ArrayBuffer>): Promise<{ start_s: number; end_s: number }>;
  go(at_s: number): void;
  play(rate: number): void;
  pause(): void;
  forget(before_s: number): Promise<void>;
  close(): void;
}

export interface Film {
  chunk(at: string, speed: number, signal?: AbortSignal): Promise<Chunk>;
}

export interface Moment {
  readonly phase: "loading" | "playing" | "paused" | "ended" | "failed";
  readonly at_ms: number;
  /** The gap that was just passed over, while it is told. */
  readonly gap: Gap | null;
  /** Why the whole picture is coarse; empty when it is not. */
  readonly coarse: string;
  readonly error: unknown;
}

export interface PlaybackOptions {
  readonly film: Film;
  readonly screen: Screen;
  readonly onMoment: (moment: Moment) => void;
  readonly now?: () => number;
}

interface Piece {
  readonly start_s: number;
  readonly end_s: number;
  readonly start_ms: number;
  readonly end_ms: number;
  /** What is missing before it. */
  readonly before: Gap | null;
  readonly coarse: string;
}

export class Playback {
  #pieces: Piece[] = [];
  #next: string | null = null;
  /** What is missing before the piece that comes next. */
  #between: Gap | null = null;
  #at_ms = 0;
  #speed: Speed = 1;
  #wanted = false;
  #phase: Moment["phase"] = "paused";
  #error: unknown = null;
  #gap: Gap | null = null;
  #gapUntil_ms = 0;
  #again_ms = 0;
  #fetching: AbortController | null = null;
  #piece: Piece | null = null;
  readonly #ticker: ReturnType<typeof setInterval>;

  constructor(private readonly options: PlaybackOptions) {
    this.#ticker = setInterval(() => this.tick(), TICK_MS);
  }

  get at_ms(): number {
    return this.#at_ms;
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  /** Go to a moment; film that is here already is used, else it is fetched. */
  seek(at_ms: number): void {
    this.#stopFetching();
    this.#at_ms = at_ms;
    this.#error = null;
    this.#gap = null;
    const piece = this.#pieces.find((one) => at_ms >= one.start_ms && at_ms < one.end_ms);
    if (piece) {
      this.#piece = piece;
      this.options.screen.go(placeIn(piece, at_ms));
      this.#set(this.#wanted ? "playing" : "paused");
      if (this.#wanted) this.options.screen.play(this.#rate(piece));
      return;
    }
    this.#pieces = [];
    this.#piece = null;
    this.#next = textOf(at_ms);
    this.#between = null;
    this.options.screen.pause();
    if (this.#wanted) void this.#fetch();
    else this.#set("paused");
  }

  play(): void {
    this.#wanted = true;
    this.#error = null;
    if (this.#piece) {
      this.options.screen.play(this.#rate(this.#piece));
      this.#set("playing");
    } else {
      this.#next ??= textOf(this.#at_ms);
      void this.#fetch();
    }
  }

  pause(): void {
    this.#wanted = false;
    this.options.screen.pause();
    this.#set("paused");
  }

  setSpeed(speed: Speed): void {
    if (speed === this.#speed) return;
    this.#speed = speed;
    if (this.#piece && this.#wanted) this.options.screen.play(this.#rate(this.#piece));
    // What was fetched for another speed is played; only what comes is asked for at the new one.
    if (this.#fetching && this.#pieces.length > 0) {
      this.#stopFetching();
      void this.#fetch();
    }
  }

  close(): void {
    clearInterval(this.#ticker);
    this.#stopFetching();
    this.options.screen.close();
  }

  /** Look where the screen is, fetch ahead, forget what is long past. Called ten times a second. */
  tick(): void {
    const { screen } = this.options;
    const now_ms = this.#now();
    if (this.#gap && now_ms > this.#gapUntil_ms) this.#gap = null;
    if (!this.#wanted || this.#pieces.length === 0) {
      if (this.#wanted && this.#phase === "ended" && now_ms >= this.#again_ms) void this.#fetch();
      return;
    }
    this.#enter(this.#pieces.find((piece) => screen.now_s < piece.end_s) ?? this.#pieces.at(-1) ?? null);
    const piece = this.#piece;
    if (!piece) return;
    this.#at_ms = momentIn(piece, screen.now_s);
    const last = this.#pieces.at(-1);
    const dry = last !== undefined && screen.now_s >= last.end_s - NEARLY_END_S;
    const ended = this.#next === null;
    if (last === piece && (!ended || dry) && now_ms >= this.#again_ms) void this.#fetch();
    this.#set(!dry ? "playing" : ended ? "ended" : "loading");
  }

  #enter(piece: Piece | null): void {
    if (!piece || piece === this.#piece) return;
    this.#piece = piece;
    this.#tell(piece.before);
    this.options.screen.play(this.#rate(piece));
    void this.options.screen.forget(piece.start_s - KEEP_S);
    this.#pieces = this.#pieces.filter((one) => one.end_s > piece.start_s - KEEP_S);
  }

  async #fetch(): Promise<void> {
    if (this.#fetching) return;
    const fetching = new AbortController();
    this.#fetching = fetching;
    const last = this.#pieces.at(-1);
    const from = this.#next ?? textOf(last?.end_ms ?? this.#at_ms);
    if (!last) this.#set("loading");
    try {
      const chunk = await this.options.film.chunk(from, this.#speed, fetching.signal);
      // At the end of the recordings the last pictures come once more; they are no new piece.
      const old = last !== undefined && chunk.end_ms <= last.end_ms;
      if (!fetching.signal.aborted && !old) await this.#take(chunk, fetching.signal);
      if (old) this.#again_ms = this.#now() + AGAIN_MS;
    } catch (error) {
      if (!fetching.signal.aborted) this.#fail(error);
    } finally {
      if (this.#fetching === fetching) this.#fetching = null;
    }
  }

  async #take(chunk: Chunk, signal: AbortSignal): Promise<void> {
    const first = this.#pieces.length === 0;
    const { start_s, end_s } = await this.options.screen.append(chunk.mime, chunk.film);
    if (signal.aborted) return;
    const { start_ms, end_ms } = chunk;
    const { coarse } = chunk;
    const piece: Piece = { start_s, end_s, start_ms, end_ms, coarse, before: chunk.skipped ?? this.#between };
    this.#pieces = [...this.#pieces, piece];
    this.#between = chunk.gap;
    this.#next = chunk.next;
    this.#again_ms = chunk.next === null ? this.#now() + AGAIN_MS : 0;
    if (!first) return;
    this.#piece = piece;
    this.#at_ms = Math.max(this.#at_ms, start_ms);
    this.#tell(piece.before);
    this.options.screen.go(placeIn(piece, this.#at_ms));
    if (this.#wanted) this.play();
    else this.#set("paused");
  }

  #tell(gap: Gap | null): void {
    if (!gap) return;
    this.#gap = gap;
    this.#gapUntil_ms = this.#now() + GAP_SHOWN_MS;
  }

  #fail(error: unknown): void {
    this.#error = error;
    this.#again_ms = this.#now() + 2 * AGAIN_MS;
    // Film that is here plays to its end first.
    if (this.#pieces.length === 0) {
      this.#wanted = false;
      this.#set("failed");
    }
  }

  #rate(piece: Piece): number {
    const wall_s = (piece.end_ms - piece.start_ms) / 1000;
    const film_s = piece.end_s - piece.start_s;
    const rate = wall_s > 0 ? (this.#speed * film_s) / wall_s : this.#speed;
    return Math.min(RATE_MOST, Math.max(0.1, rate));
  }

  #stopFetching(): void {
    this.#fetching?.abort();
    this.#fetching = null;
  }

  #now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }

  #set(phase: Moment["phase"]): void {
    this.#phase = phase;
    this.options.onMoment({
      phase,
      at_ms: this.#at_ms,
      gap: this.#gap,
      coarse: this.#piece?.coarse ?? "",
      error: this.#error,
    });
  }
}

function textOf(at_ms: number): string {
  return new Date(at_ms).toISOString();
}

function momentIn(piece: Piece, at_s: number): number {
  const length_s = piece.end_s - piece.start_s;
  const share = length_s > 0 ? Math.min(1, Math.max(0, (at_s - piece.start_s) / length_s)) : 0;
  return piece.start_ms + share * (piece.end_ms - piece.start_ms);
}

function placeIn(piece: Piece, at_ms: number): number {
  const length_ms = piece.end_ms - piece.start_ms;
  const share = length_ms > 0 ? Math.min(1, Math.max(0, (at_ms - piece.start_ms) / length_ms)) : 0;
  return piece.start_s + share * (piece.end_s - piece.start_s);
}
