import { describe, expect, it } from "vitest";
import { Load, liveMost } from "../src/video/load";
import * as strip from "../src/video/strip";

const T0 = Date.parse("2026-11-22T10:00:00.000Z");
const iso = (at_s: number): string => new Date(T0 + at_s * 1000).toISOString();
const at = (at_s: number): number => T0 + at_s * 1000;
const VIEW = { start_ms: T0, end_ms: at(100) };

const told = strip.stripOf({
  recordings: [
    { start: iso(30), end: iso(40) },
    { start: iso(0), end: iso(20) },
    { start: iso(20.5), end: iso(30) },
  ],
  gaps: [{ start: iso(40), end: iso(60), reason: "lost" }],
  events: [
    { at: iso(25), kind: "crowd" },
    { at: iso(5), kind: "wrong_way" },
  ],
  holds: [
    { id: "h", camera_id: "c", start: iso(0), end: iso(9), reason: "r", by: "b", at: iso(0) },
    {
      id: "g",
      camera_id: "c",
      start: iso(0),
      end: iso(9),
      reason: "r",
      by: "b",
      at: iso(0),
      released_at: iso(1),
    },
  ],
});

describe("the strip", () => {
  it("joins files that follow each other and sorts events", () => {
    expect(told.recordings).toEqual([{ start_ms: T0, end_ms: at(40) }]);
    expect(told.events.map((tick) => tick.at_ms)).toEqual([at(5), at(25)]);
  });

  it("leaves released holds out", () => {
    expect(told.holds.map((kept) => kept.hold.id)).toEqual(["h"]);
  });

  it("knows what is recorded and why not", () => {
    expect(strip.isRecorded(told, at(10))).toBe(true);
    expect(strip.isRecorded(told, at(50))).toBe(false);
    expect(strip.gapAt(told, at(50))?.reason).toBe("lost");
    expect(strip.gapAt(told, at(60))).toBeNull();
  });

  it("steps from event to event and does not stay on one", () => {
    expect(strip.nextEvent(told, T0)?.at_ms).toBe(at(5));
    expect(strip.nextEvent(told, at(5))?.at_ms).toBe(at(25));
    expect(strip.nextEvent(told, at(25))).toBeNull();
    expect(strip.previousEvent(told, at(25))?.at_ms).toBe(at(5));
    expect(strip.previousEvent(told, at(5))).toBeNull();
    expect(strip.eventNear(told, at(24), 2_000)?.at_ms).toBe(at(25));
    expect(strip.eventNear(told, at(15), 2_000)).toBeNull();
  });

  it("maps moments to places and back, for every moment of the view", () => {
    for (let share = 0; share <= 1; share += 0.01) {
      expect(strip.shareOf(strip.momentAt(share, VIEW), VIEW)).toBeCloseTo(share, 9);
    }
    expect(strip.momentAt(-3, VIEW)).toBe(VIEW.start_ms);
    expect(strip.shown({ start_ms: at(-50), end_ms: at(50) }, VIEW)).toEqual({ from: 0, to: 0.5 });
    expect(strip.shown({ start_ms: at(200), end_ms: at(250) }, VIEW)).toBeNull();
  });

  it("follows the moment without losing it", () => {
    expect(strip.follow(VIEW, at(50))).toBe(VIEW);
    for (const moment of [at(95), at(-40), at(5_000)]) {
      const view = strip.follow(VIEW, moment);
      expect(strip.shareOf(moment, view)).toBeGreaterThan(0);
      expect(strip.shareOf(moment, view)).toBeLessThan(1);
      expect(view.end_ms - view.start_ms).toBe(100_000);
    }
  });

  it("writes few round moments under it", () => {
    for (const window_s of strip.WINDOWS_S) {
      const marks = strip.marks(strip.around(at(50), window_s), 8);
      expect(marks.length).toBeGreaterThan(1);
      expect(marks.length).toBeLessThanOrEqual(9);
      for (const mark of marks) expect(mark % 10_000).toBe(0);
    }
  });
});

describe("the load of live pictures", () => {
  it("is too much only when pictures were left out several times in a row", () => {
    const load = new Load();
    const drawn = (dropped: number, total: number) => new Map([["a", { dropped, total }]]);
    expect(load.judge(drawn(0, 0))).toBe(false);
    expect(load.judge(drawn(10, 20))).toBe(false);
    expect(load.judge(drawn(20, 40))).toBe(false);
    expect(load.judge(drawn(30, 60))).toBe(true);
    expect(load.judge(drawn(31, 80))).toBe(false);
    expect(load.judge(drawn(32, 100))).toBe(false);
  });

  it("does not judge by too few pictures", () => {
    const load = new Load();
    for (let n = 0; n < 20; n += 1) {
      expect(load.judge(new Map([["a", { dropped: n, total: n }]]))).toBe(false);
    }
  });

  it("allows fewer on a weak machine", () => {
    expect(liveMost(2)).toBe(9);
    expect(liveMost(undefined)).toBe(9);
    expect(liveMost(16)).toBe(16);
  });
});
