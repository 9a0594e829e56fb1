/**
 * One live picture: fragmented MP4 over a WebSocket into Media Source Extensions.
 *
 * The way in (GET /api/cameras/ID/live): a text frame {"type":"init","mime",...}, then the initialisation
 * segment and fragments as binary frames, the first fragment beginning with a keyframe.
 */
export const STALE_MS = 5_000;
/** Behind this the picture plays faster; behind `SKIP_S` it jumps to the live edge. */
const CATCH_UP_S = 1.2;
const SKIP_S = 3;
const EDGE_S = 0.25;
const KEEP_S = 15;
/** Each attempt is a look that is written down, so they come ever more slowly. */
const RETRY_MS = 2_000;
const RETRY_MOST_MS = 30_000;
/** Close codes of the server that another attempt cannot change: no session, not allowed, not there. */
const FINAL = [4401, 4403, 4404];

export interface Picture {
  readonly phase: "waiting" | "live" | "stale" | "failed" | "refused" | "unsupported";
  /** How old the picture on the screen is. */
  readonly age_s: number;
  /** Whether the server says that people are masked in it. */
  readonly masked: boolean;
  /** Why the whole picture is coarse instead of people only; empty when it is not. */
  readonly coarse: string;
}

export interface PlayerOptions {
  readonly video: HTMLVideoElement;
  readonly url: string;
  readonly onPicture: (picture: Picture) => void;
}

interface Init {
  readonly type: "init";
  readonly mime: string;
  readonly masked?: boolean;
  readonly coarse?: string | boolean;
}

export class LivePlayer {
  #socket: WebSocket | null = null;
  #source: MediaSource | null = null;
  #buffer: SourceBuffer | null = null;
  #queue: ArrayBuffer[] = [];
  #arrived_ms = 0;
  #masked = false;
  #coarse = "";
  #phase: Picture["phase"] = "waiting";
  #stopped = false;
  #attempt = 0;
  #objectUrl = "";
  readonly #ticker: ReturnType<typeof setInterval>;
  #retry: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly options: PlayerOptions) {
    this.#ticker = setInterval(() => this.#tick(), 250);
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#ticker);
    if (this.#retry) clearTimeout(this.#retry);
    this.#close();
  }

  #connect(): void {
    const socket = new WebSocket(this.options.url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = (event) => this.#take(event.data as string | ArrayBuffer);
    socket.onclose = (event) => {
      if (FINAL.includes(event.code)) this.#refuse();
      else this.#fail();
    };
  }

  #take(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      this.#begin(JSON.parse(data) as Init);
      return;
    }
    this.#arrived_ms = performance.now();
    this.#attempt = 0;
    this.#queue.push(data);
    this.#feed();
  }

  #begin(init: Init): void {
    if (init.type !== "init") return;
    if (typeof MediaSource === "undefined" || !MediaSource.isTypeSupported(init.mime)) {
      this.#tell("unsupported");
      this.stop();
      return;
    }
    this.#masked = init.masked === true;
    this.#coarse = init.coarse ? String(init.coarse) : "";
    this.#phase = "waiting";
    const source = new MediaSource();
    this.#source = source;
    this.#objectUrl = URL.createObjectURL(source);
    this.options.video.src = this.#objectUrl;
    source.onsourceopen = () => {
      URL.revokeObjectURL(this.#objectUrl);
      const buffer = source.addSourceBuffer(init.mime);
      buffer.onupdateend = () => {
        this.#follow();
        this.#feed();
      };
      this.#buffer = buffer;
      this.#feed();
    };
  }

  #feed(): void {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#source?.readyState !== "open") return;
    const start = buffer.buffered.length > 0 ? buffer.buffered.start(0) : 0;
    const now = this.options.video.currentTime;
    if (now - start > 2 * KEEP_S) {
      buffer.remove(start, now - KEEP_S);
      return;
    }
    const next = this.#queue.shift();
    if (!next) return;
    try {
      buffer.appendBuffer(next);
    } catch {
      this.#fail();
    }
  }

  /** Stay near the live edge: faster when a little behind, a jump when far behind. */
  #follow(): void {
    const { video } = this.options;
    const ranges = this.#buffer?.buffered;
    if (!ranges || ranges.length === 0) return;
    const end = ranges.end(ranges.length - 1);
    const behind_s = end - video.currentTime;
    const first = ranges.start(ranges.length - 1);
    if (behind_s > SKIP_S || video.currentTime < first) video.currentTime = Math.max(first, end - EDGE_S);
    else video.playbackRate = behind_s > CATCH_UP_S ? 1.2 : 1;
    if (video.paused) void video.play().catch(() => undefined);
  }

  #tick(): void {
    const { video } = this.options;
    if (this.#arrived_ms === 0 || this.#phase === "failed") return;
    const ranges = this.#buffer?.buffered;
    const end = ranges && ranges.length > 0 ? ranges.end(ranges.length - 1) : video.currentTime;
    const waited_ms = performance.now() - this.#arrived_ms;
    const age_s = Math.max(0, end - video.currentTime) + waited_ms / 1000;
    this.#tell(waited_ms > STALE_MS ? "stale" : video.readyState >= 2 ? "live" : "waiting", age_s);
  }

  #fail(): void {
    this.#close();
    if (this.#stopped) return;
    this.#tell("failed");
    const wait_ms = Math.min(RETRY_MOST_MS, RETRY_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#connect(), wait_ms);
  }

  #refuse(): void {
    this.#tell("refused");
    this.stop();
  }

  #close(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    if (this.#buffer) this.#buffer.onupdateend = null;
    this.#buffer = null;
    this.#source = null;
    this.#queue = [];
    this.#arrived_ms = 0;
  }

  #tell(phase: Picture["phase"], age_s = 0): void {
    this.#phase = phase;
    this.options.onPicture({ phase, age_s, masked: this.#masked, coarse: this.#coarse });
  }
}
