/**
 * The live feed: one WebSocket that says hello with the last sequence it knows, and comes back by itself.
 *
 * The link counts as lost when the socket closes or nothing came for `SILENT_MS`, so that an operator knows
 * within 3 s (console requirement). While it is lost the console refuses commands.
 */
import type { LiveMessage } from "../model/types";

export const PING_MS = 1_000;
export const SILENT_MS = 2_500;
/** How long a new socket may take to bring its first message, a snapshot of the whole city. */
const FIRST_WITHIN_MS = 10_000;
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 3_000;

export interface LinkState {
  readonly up: boolean;
  /** When the link was lost, by this machine's clock; null while it is up. */
  readonly lostSince_ms: number | null;
  readonly latency_ms: number | null;
}

export interface LiveOptions {
  readonly url: string;
  /** The last sequence the store holds, or null for a snapshot. */
  readonly since: () => number | null;
  readonly onMessage: (message: LiveMessage) => void;
  readonly onLink: (state: LinkState) => void;
  /** Asked after a failed attempt: false ends the attempts (the session is over). */
  readonly mayRetry: () => Promise<boolean>;
  readonly open?: (url: string) => WebSocket;
  readonly now?: () => number;
}

export class LiveLink {
  #socket: WebSocket | null = null;
  #heard_ms = 0;
  #ticked_ms = 0;
  #attempt = 0;
  #ticker: ReturnType<typeof setInterval> | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #stopped = true;
  #state: LinkState = { up: false, lostSince_ms: null, latency_ms: null };

  constructor(private readonly options: LiveOptions) {}

  get state(): LinkState {
    return this.#state;
  }

  start(): void {
    this.#stopped = false;
    this.#ticked_ms = this.#now();
    this.#ticker = setInterval(() => this.#tick(), PING_MS);
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#ticker) clearInterval(this.#ticker);
    if (this.#retry) clearTimeout(this.#retry);
    this.#drop();
    this.#set({ up: false, lostSince_ms: null, latency_ms: null });
  }

  #now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }

  #connect(): void {
    const socket = (this.options.open ?? ((url) => new WebSocket(url)))(this.options.url);
    this.#socket = socket;
    this.#heard_ms = this.#now();
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", since: this.options.since() }));
    socket.onmessage = (event) => this.#hear(socket, event.data);
    socket.onclose = () => this.#lose(socket);
  }

  #hear(socket: WebSocket, data: unknown): void {
    if (socket !== this.#socket || typeof data !== "string") return;
    this.#heard_ms = this.#now();
    const message = JSON.parse(data) as LiveMessage;
    if (message.type === "pong") {
      this.#set({ ...this.#state, latency_ms: Math.max(0, this.#heard_ms - message.t) });
      return;
    }
    if (message.type === "snapshot" || message.type === "resumed") {
      this.#attempt = 0;
      this.#set({ up: true, lostSince_ms: null, latency_ms: null });
      this.#ping();
    }
    this.options.onMessage(message);
  }

  #ping(): void {
    if (this.#socket?.readyState === 1) {
      this.#socket.send(JSON.stringify({ type: "ping", t: this.#now() }));
    }
  }

  #tick(): void {
    const late = this.#now() - this.#ticked_ms > 2 * PING_MS;
    this.#ticked_ms = this.#now();
    // After a pause of this page itself, what came meanwhile waits to be heard: judge at the next tick.
    if (!this.#socket || late) return;
    const patience_ms = this.#state.up ? SILENT_MS : FIRST_WITHIN_MS;
    if (this.#now() - this.#heard_ms > patience_ms) {
      this.#lose(this.#socket);
    } else if (this.#state.up) {
      this.#ping();
    }
  }

  #lose(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#drop();
    this.#set({ up: false, lostSince_ms: this.#state.lostSince_ms ?? this.#now(), latency_ms: null });
    if (!this.#stopped) this.#retryLater();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #retryLater(): void {
    const wait_ms = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#attempt) * (0.75 + Math.random() / 4);
    this.#attempt += 1;
    this.#retry = setTimeout(async () => {
      if (this.#attempt > 1 && !(await this.options.mayRetry())) return;
      if (!this.#stopped) this.#connect();
    }, wait_ms);
  }

  #set(state: LinkState): void {
    this.#state = state;
    this.options.onLink(state);
  }
}
