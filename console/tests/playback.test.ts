import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CameraApi } from "../src/api/cameras";
import { ApiError, Http } from "../src/api/http";
import { readChunk } from "../src/video/chunk";
import { type Moment, Playback, type Screen } from "../src/video/playback";
import { Recording } from "../src/video/recording";
import { Scrubber } from "../src/video/scrub";

const T0 = Date.parse("2026-11-22T10:00:00.000Z");
const iso = (at_ms: number): string => new Date(at_ms).toISOString();
const GROUND = { incident_id: "i1", purpose: "to see" };

/** The server at the network's border: recordings of 4 s pieces, with one gap. */
class Archive {
  readonly asked: string[] = [];
  tokens = 0;
  valid = "";
  constructor(
    readonly recorded: readonly (readonly [number, number])[],
    readonly piece_ms = 4_000,
  ) {}

  readonly fetch = (async (path: string, init: RequestInit): Promise<Response> => {
    this.asked.push(`${init.method} ${path}`);
    const url = new URL(path, "http://here");
    if (url.pathname.endsWith("/playback")) {
      this.tokens += 1;
      this.valid = `t${this.tokens}`;
      return Response.json({ token: this.valid, expires_at: iso(T0) });
    }
    if (!url.pathname.startsWith(`/api/playback/${this.valid}/`)) {
      return Response.json({ code: "not_found", message: "over" }, { status: 404 });
    }
    const at_ms = Date.parse(url.searchParams.get("at") ?? "");
    if (url.pathname.endsWith("/frame")) {
      const step = Number(url.searchParams.get("step"));
      return new Response("jpeg", { headers: { "X-Frame-Time": iso(at_ms + step * 100) } });
    }
    return new Response(this.#chunk(at_ms));
  }) as typeof fetch;

  #chunk(asked_ms: number): ArrayBuffer {
    const at = this.recorded.findIndex(([, end]) => asked_ms < end);
    const [from, until] = this.recorded[at] ?? [0, 0];
    const start = Math.max(asked_ms, from);
    const end = Math.min(until, start + this.piece_ms);
    const follower = end < until ? end : (this.recorded[at + 1]?.[0] ?? null);
    const missing = follower !== null && follower > end;
    return packed({
      mime: "video/mp4",
      start: iso(start),
      end: iso(end),
      next: follower === null ? null : iso(follower),
      gap: missing ? { start: iso(end), end: iso(follower), reason: "lost" } : null,
      skipped: start > asked_ms ? { start: iso(asked_ms), end: iso(start), reason: "lost" } : null,
      parts: [1, 1],
    });
  }
}

function packed(head: unknown): ArrayBuffer {
  const json = new TextEncoder().encode(JSON.stringify(head));
  const seconds = head as { start: string; end: string };
  const film = new Uint8Array([(Date.parse(seconds.end) - Date.parse(seconds.start)) / 100, 0]);
  const bytes = new Uint8Array(4 + json.length + film.length);
  new DataView(bytes.buffer).setUint32(0, json.length);
  bytes.set(json, 4);
  bytes.set(film, 4 + json.length);
  return bytes.buffer;
}

/** What a browser's video element would do: its time goes on while it plays and has film. */
class Film implements Screen {
  now_s = 0;
  rate = 0;
  end_s = 0;
  appended = 0;
  async append(_mime: string, film: Uint8Array) {
    const start_s = this.end_s;
    this.end_s += (film[0] ?? 0) / 10;
    this.appended += 1;
    return { start_s, end_s: this.end_s };
  }
  go(at_s: number): void {
    this.now_s = at_s;
  }
  play(rate: number): void {
    this.rate = rate;
  }
  pause(): void {
    this.rate = 0;
  }
  async forget(): Promise<void> {}
  close(): void {}
  pass(time_s: number): void {
    this.now_s = Math.min(this.end_s, this.now_s + time_s * this.rate);
  }
}

describe("a piece of film", () => {
  it("is read from its answer, and refused when cut short", () => {
    const answer = packed({ mime: "video/mp4", start: iso(T0), end: iso(T0 + 2_000), next: null });
    const chunk = readChunk(answer);
    expect(chunk).toMatchObject({ start_ms: T0, end_ms: T0 + 2_000, next: null, gap: null, skipped: null });
    expect(Array.from(chunk.film)).toEqual([20, 0]);
    expect(() => readChunk(answer.slice(0, 3))).toThrow(RangeError);
    expect(() => readChunk(answer.slice(0, 20))).toThrow(RangeError);
  });
});

describe("playback", () => {
  let archive: Archive;
  let screen: Film;
  let told: Moment[];
  let playback: Playback;
  let clock_ms = 0;

  beforeEach(() => {
    vi.useFakeTimers();
    clock_ms = 0;
    archive = new Archive([
      [T0, T0 + 10_000],
      [T0 + 60_000, T0 + 70_000],
    ]);
    screen = new Film();
    told = [];
    playback = new Playback({
      film: new Recording(new CameraApi(new Http(archive.fetch)), "cam-1", GROUND, () => clock_ms),
      screen,
      onMoment: (moment) => told.push(moment),
      now: () => clock_ms,
    });
  });

  afterEach(() => {
    playback.close();
    vi.useRealTimers();
  });

  async function pass(time_s: number): Promise<void> {
    for (let done = 0; done < time_s; done += 0.1) {
      clock_ms += 100;
      screen.pass(0.1);
      await vi.advanceTimersByTimeAsync(100);
    }
  }

  it("begins at the moment, prefetches one piece and no more", async () => {
    playback.seek(T0 + 1_000);
    playback.play();
    await pass(0.5);
    expect(told.at(-1)?.phase).toBe("playing");
    expect(playback.at_ms).toBeGreaterThan(T0 + 1_200);
    expect(playback.at_ms).toBeLessThan(T0 + 1_600);
    expect(screen.appended).toBe(2);
    await pass(2);
    expect(screen.appended).toBe(2);
    expect(archive.tokens).toBe(1);
  });

  it("goes on over a gap and tells it while it passes", async () => {
    playback.seek(T0 + 8_000);
    playback.play();
    await pass(1.5);
    expect(told.at(-1)?.gap).toBeNull();
    await pass(1);
    expect(playback.at_ms).toBeGreaterThanOrEqual(T0 + 60_000);
    expect(told.at(-1)?.gap).toMatchObject({
      start: iso(T0 + 10_000),
      end: iso(T0 + 60_000),
      reason: "lost",
    });
    await pass(3);
    expect(told.at(-1)?.gap).toBeNull();
  });

  it("says at once that the moment itself was not recorded", async () => {
    playback.seek(T0 + 30_000);
    playback.play();
    await pass(0.3);
    expect(playback.at_ms).toBeGreaterThanOrEqual(T0 + 60_000);
    expect(told.at(-1)?.gap?.reason).toBe("lost");
  });

  it("plays sixteen times as fast, and back", async () => {
    playback.setSpeed(16);
    playback.seek(T0);
    playback.play();
    await pass(0.1);
    expect(screen.rate).toBeCloseTo(16);
    playback.setSpeed(1);
    expect(screen.rate).toBeCloseTo(1);
    expect(archive.asked.some((asked) => asked.includes("speed=16"))).toBe(true);
  });

  it("waits at the end of what is recorded and looks again slowly", async () => {
    playback.seek(T0 + 69_000);
    playback.play();
    await pass(1.5);
    expect(told.at(-1)?.phase).toBe("ended");
    const before = archive.asked.length;
    await pass(5);
    expect(archive.asked.length - before).toBeLessThanOrEqual(3);
  });

  it("uses film that is here when the operator jumps a little, and fetches when he jumps far", async () => {
    playback.seek(T0);
    playback.play();
    await pass(1);
    const before = screen.appended;
    playback.seek(T0 + 2_000);
    expect(screen.now_s).toBeCloseTo(2);
    expect(screen.appended).toBe(before);
    playback.seek(T0 + 65_000);
    await pass(0.3);
    expect(playback.at_ms).toBeGreaterThanOrEqual(T0 + 65_000);
  });

  it("tells a failure and stops", async () => {
    archive.valid = "";
    const failing = new Playback({
      film: { chunk: async () => Promise.reject(new ApiError("unavailable", "away", 503)) },
      screen,
      onMoment: (moment) => told.push(moment),
      now: () => clock_ms,
    });
    failing.seek(T0);
    failing.play();
    await pass(0.2);
    failing.close();
    expect(told.some((moment) => moment.phase === "failed")).toBe(true);
  });
});

describe("the token of a look", () => {
  it("is asked for once, and once more after a long pause", async () => {
    let now_ms = 0;
    const archive = new Archive([[T0, T0 + 60_000]]);
    const recording = new Recording(new CameraApi(new Http(archive.fetch)), "cam-1", GROUND, () => now_ms);
    const still = await recording.frame(iso(T0), -1);
    expect(still.at_ms).toBe(T0 - 100);
    expect(still.at).toBe(iso(T0 - 100));
    await recording.chunk(iso(T0), 1);
    expect(archive.tokens).toBe(1);
    expect(archive.asked[0]).toBe("POST /api/cameras/cam-1/playback");
    archive.valid = "gone";
    await expect(recording.frame(iso(T0), 0)).rejects.toMatchObject({ status: 404 });
    now_ms += 900_000;
    await recording.frame(iso(T0), 0);
    expect(archive.tokens).toBe(2);
  });
});

describe("scrubbing", () => {
  it("asks for one picture at a time and shows the newest wish last", async () => {
    vi.useFakeTimers();
    const asked: number[] = [];
    const seen: number[] = [];
    let inFlight = 0;
    const scrubber = new Scrubber(
      async (at_ms) => {
        inFlight += 1;
        expect(inFlight).toBe(1);
        asked.push(at_ms);
        await new Promise((resolve) => setTimeout(resolve, 50));
        inFlight -= 1;
        return { picture: new Blob(), at: "", at_ms };
      },
      (_, at_ms) => seen.push(at_ms),
      () => undefined,
      () => Date.now(),
    );
    for (let at = 0; at < 100; at += 1) {
      scrubber.ask(at);
      await vi.advanceTimersByTimeAsync(10);
    }
    await vi.advanceTimersByTimeAsync(500);
    expect(seen.at(-1)).toBe(99);
    expect(asked.length).toBeLessThanOrEqual(10);
    vi.useRealTimers();
  });
});
