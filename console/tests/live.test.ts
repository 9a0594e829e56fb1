import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LinkState, LiveLink } from "../src/live/live";

/** The browser's socket, as far as the link uses it: an end that the test speaks through. */
class Wire {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: { type: string; since?: number | null; t?: number }[] = [];
  closed = false;

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

describe("the live link", () => {
  let wires: Wire[];
  let states: LinkState[];
  let link: LiveLink;
  let since: number | null;
  let signedIn: boolean;

  beforeEach(() => {
    vi.useFakeTimers();
    wires = [];
    states = [];
    since = null;
    signedIn = true;
    link = new LiveLink({
      url: "ws://here/api/live",
      since: () => since,
      onMessage: () => undefined,
      onLink: (state) => states.push(state),
      mayRetry: async () => signedIn,
      now: () => Date.now(),
      open: () => {
        const wire = new Wire();
        wires.push(wire);
        return wire as unknown as WebSocket;
      },
    });
    link.start();
  });

  afterEach(() => {
    link.stop();
    vi.useRealTimers();
  });

  function up(wire: Wire | undefined): void {
    wire?.open();
    wire?.say({ type: "snapshot", seq: 7, entities: {} });
  }

  it("asks for a snapshot first, and resumes where it was after a loss", async () => {
    up(wires[0]);
    expect(wires[0]?.sent[0]).toEqual({ type: "hello", since: null });
    expect(link.state.up).toBe(true);
    since = 7;
    wires[0]?.onclose?.();
    expect(link.state.up).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    wires[1]?.open();
    expect(wires[1]?.sent[0]).toEqual({ type: "hello", since: 7 });
    wires[1]?.say({ type: "resumed", seq: 7 });
    expect(link.state).toMatchObject({ up: true, lostSince_ms: null });
  });

  it("is lost within 3 s when nothing is heard, though the socket stays open", async () => {
    up(wires[0]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(link.state.up).toBe(false);
    expect(wires[0]?.closed).toBe(true);
  });

  it("gives a snapshot time, and a page that was asleep a second look", async () => {
    wires[0]?.open();
    await vi.advanceTimersByTimeAsync(8_000);
    expect(wires[0]?.closed).toBe(false);
    wires[0]?.say({ type: "snapshot", seq: 7, entities: {} });
    vi.setSystemTime(Date.now() + 30_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(link.state.up).toBe(true);
  });

  it("stays up while answers come, and tells the latency", async () => {
    up(wires[0]);
    for (let n = 0; n < 10; n += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      const ping = wires[0]?.sent.findLast((message) => message.type === "ping");
      wires[0]?.say({ type: "pong", t: (ping?.t ?? 0) - 18 });
    }
    expect(link.state).toMatchObject({ up: true, latency_ms: 18 });
  });

  it("ends its attempts when the session is over", async () => {
    up(wires[0]);
    signedIn = false;
    wires[0]?.onclose?.();
    await vi.advanceTimersByTimeAsync(1_000);
    wires[1]?.onclose?.();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(wires.length).toBe(2);
  });
});
